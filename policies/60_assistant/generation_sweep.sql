-- Workers only; live_job is called by other definer functions.

revoke all on function private.live_job(text, text, uuid) from public, anon, authenticated, app_admin, service_role;

revoke all on function public.svc_sweep_generations() from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_sweep_generations() to service_role;
