-- Run by its trigger only.

revoke all on function private.on_role_change() from public, anon, authenticated, app_admin, service_role;
