-- Any signed-in person, about their own nudges. The bound body of the public function calls the private one.

grant execute on function private.mark_nudge(uuid, text) to authenticated;
grant execute on function public.mark_nudge(uuid, text) to authenticated;
