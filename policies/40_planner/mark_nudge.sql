-- Any signed-in person, for his own nudges. The private half is reached through the bound body of the public one.

revoke all on function private.mark_nudge(uuid, text) from public, anon, authenticated, app_admin, service_role;
grant execute on function private.mark_nudge(uuid, text) to authenticated;
revoke all on function public.mark_nudge(uuid, text) from public, anon, authenticated, app_admin, service_role;
grant execute on function public.mark_nudge(uuid, text) to authenticated;
