-- The service only; it checked the caller.

grant execute on function public.svc_submit_lecture(uuid, uuid, text, text, text, text, text) to service_role;
