-- The service only.

revoke all on function public.svc_sync_catalog(jsonb, numeric) from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_sync_catalog(jsonb, numeric) to service_role;
