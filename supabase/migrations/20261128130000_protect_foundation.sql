-- Grants and row level security of the room 00_foundation.
-- Touches: 00_foundation. Undo: drop what it creates, newest first; nothing in it destroys data.

set lock_timeout = '5s';

-- Who may name objects in which schema. `private` is new and so shut; policies and bound function bodies need no usage
-- on it. supabase_auth_admin runs the access token hook, which lives in `private` and reads profiles.

grant usage on schema private to supabase_auth_admin;

grant usage on schema public to anon, authenticated, app_admin, service_role, supabase_auth_admin;

-- Policies and column defaults run it with the rights of the person who reads or writes. The service writes rows by
-- REST too, and its inserts run the same defaults.

grant execute on function private.caller_id() to authenticated, service_role;

-- Functions and workers ask when they start and when they are asked whether they are ready.

grant execute on function public.svc_schema_version() to service_role;
