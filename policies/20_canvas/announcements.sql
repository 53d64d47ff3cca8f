-- For the service alone.

grant execute on function public.svc_announcement_courses(uuid) to service_role;

grant execute on function public.svc_apply_announcements(uuid, jsonb) to service_role;
