-- Any signed-in person, for himself. The private half is reached through the bound body of the public one.

revoke all on function private.ensure_profile() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.ensure_profile() to authenticated;
revoke all on function public.ensure_profile() from public, anon, authenticated, app_admin, service_role;
grant execute on function public.ensure_profile() to authenticated;
