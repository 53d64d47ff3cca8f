-- Pure. Whoever writes catalog_courses runs it through the check of the code column.

revoke all on function public.normalize_course_code(text) from public, anon, authenticated, app_admin, service_role;
grant execute on function public.normalize_course_code(text) to authenticated, service_role;
