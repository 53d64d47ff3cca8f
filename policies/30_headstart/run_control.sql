-- The service only; cancelling checks the owner itself.

revoke all on function public.svc_begin_headstart_run(uuid, text, text, text)
from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_begin_headstart_run(uuid, text, text, text) to service_role;

revoke all on function public.svc_count_headstart_call(uuid, bigint)
from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_count_headstart_call(uuid, bigint) to service_role;

revoke all on function public.svc_end_headstart_run(uuid, bigint, text, jsonb, text, jsonb)
from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_end_headstart_run(uuid, bigint, text, jsonb, text, jsonb) to service_role;

revoke all on function public.svc_cancel_headstart_run(uuid, uuid)
from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_cancel_headstart_run(uuid, uuid) to service_role;
