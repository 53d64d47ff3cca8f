-- For the service alone.

grant execute on function public.svc_start_due_syncs(int, int) to service_role;
