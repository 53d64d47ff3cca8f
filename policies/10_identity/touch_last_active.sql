-- Any signed-in person, about themselves.

grant execute on function private.touch_last_active() to authenticated;
grant execute on function public.touch_last_active() to authenticated;
