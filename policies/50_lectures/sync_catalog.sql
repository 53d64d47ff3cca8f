-- The service only.

grant execute on function public.svc_sync_catalog(jsonb, numeric) to service_role;
