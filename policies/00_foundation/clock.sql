-- Helpers of SECURITY DEFINER functions, which run as their owner: nobody else needs them.

revoke all on function private.test_setting(text) from public, anon, authenticated, app_admin, service_role;
revoke all on function private.clock() from public, anon, authenticated, app_admin, service_role;
revoke all on function private.today() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.today() to authenticated;
revoke all on function private.jitter() from public, anon, authenticated, app_admin, service_role;
