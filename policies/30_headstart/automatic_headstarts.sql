-- The service only.

grant execute on function public.svc_start_automatic_headstart(uuid, uuid, text, text) to service_role;

grant execute on function public.svc_due_headstarts(text, int) to service_role;
