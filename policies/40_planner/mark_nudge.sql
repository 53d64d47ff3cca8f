-- Any signed-in person, for his own nudges. The private half is reached through the bound body of the public one.

grant execute on function private.mark_nudge(uuid, text) to authenticated;
grant execute on function public.mark_nudge(uuid, text) to authenticated;
