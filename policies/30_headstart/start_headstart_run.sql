-- The service only; it checked the caller.

grant execute on function public.svc_start_headstart_run(uuid, uuid, text, text) to service_role;
