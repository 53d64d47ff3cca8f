-- Any signed-in person. The private half is reached through the bound body of the public one.

revoke all on function private.ensure_catalog_course(text, text) from public, anon, authenticated, app_admin, service_role;
grant execute on function private.ensure_catalog_course(text, text) to authenticated;
revoke all on function public.ensure_catalog_course(text, text) from public, anon, authenticated, app_admin, service_role;
grant execute on function public.ensure_catalog_course(text, text) to authenticated;
