-- Pure. Whoever writes catalog_courses runs it through the check of the code column.

grant execute on function public.normalize_course_code(text) to authenticated, service_role;
