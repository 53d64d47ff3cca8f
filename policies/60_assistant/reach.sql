-- Run inside policies, as the caller.

revoke all on function private.my_threads() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.my_threads() to authenticated;
