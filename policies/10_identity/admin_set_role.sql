-- Staff only: the grant keeps others out, the function asks whether the caller is still one.

grant execute on function private.admin_set_role(uuid, text) to app_admin;
grant execute on function public.admin_set_role(uuid, text) to app_admin;
