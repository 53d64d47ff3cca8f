-- Called inside SECURITY DEFINER functions only.

revoke all on function private.caller() from public, anon, authenticated, app_admin, service_role;
revoke all on function private.person() from public, anon, authenticated, app_admin, service_role;
