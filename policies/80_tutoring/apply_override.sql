-- Called by signed-in people; it checks by itself that the caller is the right tutor.

grant execute on function private.apply_override(text, uuid, text, jsonb, text) to authenticated;

grant execute on function public.apply_override(text, uuid, text, jsonb, text) to authenticated;
