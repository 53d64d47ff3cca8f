-- The service asks for summaries and stores them.

grant execute on function public.svc_request_summary(uuid, uuid) to service_role;

grant execute on function public.svc_store_summary(uuid, int, text, text, text[], text[]) to service_role;
