-- Grants and row level security of the room 00_foundation.
-- Touches: 00_foundation. Undo: drop what it creates, newest first; nothing in it destroys data.

set lock_timeout = '5s';

-- Who may name objects in which schema. `private` stays shut; policies and bound function bodies need no usage on it.
-- supabase_auth_admin runs the access token hook, which lives in `private` and reads profiles.

revoke all on schema private from public, anon, authenticated, app_admin, service_role;
grant usage on schema private to supabase_auth_admin;

grant usage on schema public to anon, authenticated, app_admin, service_role, supabase_auth_admin;

-- Called inside SECURITY DEFINER functions only.

revoke all on function private.check_time(text, timestamptz) from public, anon, authenticated, app_admin, service_role;

-- Helpers of SECURITY DEFINER functions, which run as their owner: nobody else needs them.

revoke all on function private.test_setting(text) from public, anon, authenticated, app_admin, service_role;
revoke all on function private.clock() from public, anon, authenticated, app_admin, service_role;
revoke all on function private.today() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.today() to authenticated;
revoke all on function private.jitter() from public, anon, authenticated, app_admin, service_role;

-- Called inside SECURITY DEFINER functions only.

revoke all on function private.caller() from public, anon, authenticated, app_admin, service_role;
revoke all on function private.person() from public, anon, authenticated, app_admin, service_role;

-- Triggers need no EXECUTE of the person whose statement fires them; called directly, these functions do nothing good.

revoke all on function public.set_updated_at() from public, anon, authenticated, app_admin, service_role;
revoke all on function private.enforce_transition() from public, anon, authenticated, app_admin, service_role;
revoke all on function private.check_profile_role() from public, anon, authenticated, app_admin, service_role;
revoke all on function private.enqueue_storage_deletion() from public, anon, authenticated, app_admin, service_role;
revoke all on function private.write_audit(text, text, text, uuid, jsonb)
from public, anon, authenticated, app_admin, service_role;
revoke all on function private.audit() from public, anon, authenticated, app_admin, service_role;
