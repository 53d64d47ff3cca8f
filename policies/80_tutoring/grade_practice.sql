-- Called by signed-in people; it checks by itself that the caller is the right tutor.

grant execute on function private.grade_practice(uuid, numeric, text) to authenticated;

grant execute on function public.grade_practice(uuid, numeric, text) to authenticated;
