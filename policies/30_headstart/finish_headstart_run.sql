-- The worker only.

revoke all on function public.svc_finish_headstart_run(uuid, text, jsonb, text, jsonb)
from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_finish_headstart_run(uuid, text, jsonb, text, jsonb) to service_role;
