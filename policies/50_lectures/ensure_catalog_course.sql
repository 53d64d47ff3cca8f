-- Any signed-in person. The private half is reached through the bound body of the public one.

grant execute on function private.ensure_catalog_course(text, text) to authenticated;
grant execute on function public.ensure_catalog_course(text, text) to authenticated;
