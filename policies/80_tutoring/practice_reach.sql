-- Run inside policies, as the caller.

revoke all on function private.my_practice_items() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.my_practice_items() to authenticated;

revoke all on function private.my_completed_items() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.my_completed_items() to authenticated;
