-- Any signed-in person, for himself.

grant execute on function private.touch_last_active() to authenticated;
grant execute on function public.touch_last_active() to authenticated;
