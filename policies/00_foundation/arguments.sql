-- Called inside SECURITY DEFINER functions only.

revoke all on function private.check_time(text, timestamptz) from public, anon, authenticated, app_admin, service_role;
