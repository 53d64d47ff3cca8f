-- Staff only: the grant is the check.

revoke all on function private.admin_set_role(uuid, text) from public, anon, authenticated, app_admin, service_role;
grant execute on function private.admin_set_role(uuid, text) to app_admin;
revoke all on function public.admin_set_role(uuid, text) from public, anon, authenticated, app_admin, service_role;
grant execute on function public.admin_set_role(uuid, text) to app_admin;
