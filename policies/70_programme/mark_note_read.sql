-- Any signed-in person, about notes of their own weeks. The bound body of the public function calls the private one.

grant execute on function private.mark_note_read(text, uuid) to authenticated;
grant execute on function public.mark_note_read(text, uuid) to authenticated;
