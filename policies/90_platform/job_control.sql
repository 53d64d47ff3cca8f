-- Owners cancel and retry; the rest belongs to the service.

revoke all on function private.own_job(uuid)
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.end_live_job(uuid)
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.cancel_job(uuid)
from public, anon, authenticated, app_admin, service_role;
grant execute on function private.cancel_job(uuid) to authenticated;

revoke all on function public.cancel_job(uuid)
from public, anon, authenticated, app_admin, service_role;
grant execute on function public.cancel_job(uuid) to authenticated;

revoke all on function private.retry_job(uuid)
from public, anon, authenticated, app_admin, service_role;
grant execute on function private.retry_job(uuid) to authenticated;

revoke all on function public.retry_job(uuid)
from public, anon, authenticated, app_admin, service_role;
grant execute on function public.retry_job(uuid) to authenticated;

revoke all on function public.svc_pause_provider(text, numeric)
from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_pause_provider(text, numeric) to service_role;

revoke all on function public.svc_tick_schedules()
from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_tick_schedules() to service_role;

revoke all on function private.purge_jobs()
from public, anon, authenticated, app_admin, service_role;
