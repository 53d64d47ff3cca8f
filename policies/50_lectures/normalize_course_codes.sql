-- The service only.

grant execute on function public.svc_normalize_course_codes(text[]) to service_role;
