-- Functions and workers ask when they start and when they are asked whether they are ready.

grant execute on function public.svc_schema_version() to service_role;
