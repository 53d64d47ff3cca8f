-- Any signed-in person. The bound body of the public function calls the private one.

grant execute on function private.ensure_catalog_course(text, text) to authenticated;
grant execute on function public.ensure_catalog_course(text, text) to authenticated;
