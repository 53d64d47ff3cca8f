-- Any signed-in person, for himself. The private half is reached through the bound body of the public one.

grant execute on function private.ensure_profile() to authenticated;
grant execute on function public.ensure_profile() to authenticated;
