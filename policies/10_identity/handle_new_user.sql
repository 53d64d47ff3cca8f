-- Run by triggers on auth.users and inside ensure_profile only.

revoke all on function private.role_from_metadata(jsonb) from public, anon, authenticated, app_admin, service_role;
revoke all on function private.create_profile(uuid, jsonb) from public, anon, authenticated, app_admin, service_role;
revoke all on function private.handle_new_user() from public, anon, authenticated, app_admin, service_role;
revoke all on function private.handle_new_user_role() from public, anon, authenticated, app_admin, service_role;
