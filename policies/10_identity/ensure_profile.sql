-- Any signed-in person, about themselves. The bound body of the public function calls the private one.

grant execute on function private.ensure_profile() to authenticated;
grant execute on function public.ensure_profile() to authenticated;
