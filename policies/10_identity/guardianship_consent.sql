-- Any signed-in person; the functions check that he is the student, or one of the two.

revoke all on function private.respond_guardianship(uuid, boolean) from public, anon, authenticated, app_admin, service_role;
grant execute on function private.respond_guardianship(uuid, boolean) to authenticated;
revoke all on function public.respond_guardianship(uuid, boolean) from public, anon, authenticated, app_admin, service_role;
grant execute on function public.respond_guardianship(uuid, boolean) to authenticated;

revoke all on function private.revoke_guardianship(uuid) from public, anon, authenticated, app_admin, service_role;
grant execute on function private.revoke_guardianship(uuid) to authenticated;
revoke all on function public.revoke_guardianship(uuid) from public, anon, authenticated, app_admin, service_role;
grant execute on function public.revoke_guardianship(uuid) to authenticated;
