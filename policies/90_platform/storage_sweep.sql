-- Who may sweep: the service alone.

grant execute on function public.svc_sweep_files(text, int) to service_role;

grant execute on function public.svc_fail_lost_files() to service_role;
