-- The service only.

grant execute on function public.svc_create_nudge(uuid, text, text, text, text, text[]) to service_role;

grant execute on function public.svc_mark_nudge_sent(uuid) to service_role;
