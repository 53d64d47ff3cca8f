-- Any signed-in person, for himself.

revoke all on function private.touch_last_active() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.touch_last_active() to authenticated;
revoke all on function public.touch_last_active() from public, anon, authenticated, app_admin, service_role;
grant execute on function public.touch_last_active() to authenticated;
