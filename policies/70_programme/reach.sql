-- Run inside policies, as the caller.

revoke all on function private.my_weeks() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.my_weeks() to authenticated;

revoke all on function private.my_socratic_sessions() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.my_socratic_sessions() to authenticated;

revoke all on function private.my_open_socratic_sessions() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.my_open_socratic_sessions() to authenticated;
