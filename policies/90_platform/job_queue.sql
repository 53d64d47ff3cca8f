-- The queue belongs to the service.

revoke all on function private.job_cap(uuid)
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.job_rank(timestamptz, int)
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.try_places(uuid)
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.lock_places(uuid[])
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.admit_jobs(uuid[])
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.admit_due_jobs(int)
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.admit_forgotten_jobs(int)
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.queue_jobs(uuid[])
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.end_try(uuid, text, text, text, boolean, numeric)
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.reap_jobs(int)
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.held_job(uuid, uuid)
from public, anon, authenticated, app_admin, service_role;

revoke all on function public.svc_enqueue_job(text, jsonb, uuid, uuid, text, text, int, timestamptz, int, int, text)
from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_enqueue_job(text, jsonb, uuid, uuid, text, text, int, timestamptz, int, int, text) to service_role;

revoke all on function public.svc_exchange_jobs(jsonb, text, text[], int, int, uuid)
from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_exchange_jobs(jsonb, text, text[], int, int, uuid) to service_role;

revoke all on function public.svc_claim_jobs(text, text[], int, int, uuid)
from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_claim_jobs(text, text[], int, int, uuid) to service_role;

revoke all on function public.svc_heartbeat_jobs(jsonb, int)
from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_heartbeat_jobs(jsonb, int) to service_role;

revoke all on function public.svc_complete_jobs(jsonb)
from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_complete_jobs(jsonb) to service_role;

revoke all on function public.svc_fail_job(uuid, uuid, text, text, boolean, int, text)
from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_fail_job(uuid, uuid, text, text, boolean, int, text) to service_role;

revoke all on function public.svc_release_jobs(jsonb)
from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_release_jobs(jsonb) to service_role;

revoke all on function public.svc_reap_expired_jobs(int)
from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_reap_expired_jobs(int) to service_role;

revoke all on function private.lower_front(timestamptz)
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.set_front(timestamptz)
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.front()
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.next_front(boolean)
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.first_state(timestamptz, uuid)
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.forget_claims(int)
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.take_tokens(uuid[])
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.refill_places()
from public, anon, authenticated, app_admin, service_role;

revoke all on function public.svc_count_waiting_jobs()
from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_count_waiting_jobs() to service_role;
