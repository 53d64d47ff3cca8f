-- Called by signed-in people; it checks by itself that the caller is the right tutor.

grant execute on function private.review_practice(uuid, boolean, text) to authenticated;

grant execute on function public.review_practice(uuid, boolean, text) to authenticated;
