-- The service only; it checked the caller.

revoke all on function public.svc_start_headstart_run(uuid, uuid, text, text)
from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_start_headstart_run(uuid, uuid, text, text) to service_role;
