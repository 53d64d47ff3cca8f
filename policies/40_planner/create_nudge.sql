-- The service only.

revoke all on function public.svc_create_nudge(uuid, text, text, text, text, text[])
from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_create_nudge(uuid, text, text, text, text, text[]) to service_role;

revoke all on function public.svc_mark_nudge_sent(uuid) from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_mark_nudge_sent(uuid) to service_role;
