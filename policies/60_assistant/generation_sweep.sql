-- Workers only; live_job is called by other definer functions.

grant execute on function public.svc_sweep_generations() to service_role;
