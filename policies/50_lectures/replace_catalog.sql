-- The service only.

grant execute on function public.svc_replace_catalog(jsonb, boolean, boolean) to service_role;
