-- Auth alone runs the hook.

revoke all on function private.custom_access_token(jsonb) from public, anon, authenticated, app_admin, service_role;
grant execute on function private.custom_access_token(jsonb) to supabase_auth_admin;
