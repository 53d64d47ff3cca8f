-- The service's, which has read the source.

grant execute on function public.svc_replace_chunks(text, uuid, jsonb) to service_role;
grant execute on function public.svc_prepare_chunks(text, uuid, jsonb) to service_role;
