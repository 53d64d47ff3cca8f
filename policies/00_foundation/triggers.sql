-- Triggers need no EXECUTE of the person whose statement fires them; called directly, these functions do nothing good.

revoke all on function public.set_updated_at() from public, anon, authenticated, app_admin, service_role;
revoke all on function private.enforce_transition() from public, anon, authenticated, app_admin, service_role;
revoke all on function private.check_profile_role() from public, anon, authenticated, app_admin, service_role;
revoke all on function private.enqueue_storage_deletion() from public, anon, authenticated, app_admin, service_role;
revoke all on function private.write_audit(text, text, text, uuid, jsonb)
from public, anon, authenticated, app_admin, service_role;
revoke all on function private.audit() from public, anon, authenticated, app_admin, service_role;
