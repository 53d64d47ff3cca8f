-- Who may name objects in which schema. `private` is new and so shut; policies and bound function bodies need no usage
-- on it. supabase_auth_admin runs the access token hook, which lives in `private` and reads profiles.

grant usage on schema private to supabase_auth_admin;

grant usage on schema public to anon, authenticated, app_admin, service_role, supabase_auth_admin;
