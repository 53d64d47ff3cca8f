-- Auth alone runs the hook.

grant execute on function private.custom_access_token(jsonb) to supabase_auth_admin;
