-- Staff only: the grant is the check.

grant execute on function private.admin_set_role(uuid, text) to app_admin;
grant execute on function public.admin_set_role(uuid, text) to app_admin;
