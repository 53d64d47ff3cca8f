-- Who may store documents: the service alone.

grant execute on function public.svc_begin_document(uuid, uuid, text) to service_role;

grant execute on function public.svc_store_document(uuid, uuid, uuid, text, text, text, text, bigint) to service_role;
