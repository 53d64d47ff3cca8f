-- Workers only.

grant execute on function public.svc_sweep_generations() to service_role;
