-- Any signed-in person; the functions check that the caller is the student, or one of the two.

grant execute on function private.respond_guardianship(uuid, boolean) to authenticated;
grant execute on function public.respond_guardianship(uuid, boolean) to authenticated;

grant execute on function private.revoke_guardianship(uuid) to authenticated;
grant execute on function public.revoke_guardianship(uuid) to authenticated;
