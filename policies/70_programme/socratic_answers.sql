-- The Socratic service and its worker only.

grant execute on function public.svc_begin_socratic(uuid, uuid, text, text, text, uuid, text, numeric) to service_role;

grant execute on function public.svc_load_socratic(uuid) to service_role;

grant execute on function public.svc_finish_socratic(
    uuid, text, text, text, jsonb, text, text, text, text, bigint
) to service_role;

grant execute on function public.svc_store_socratic_speech(uuid, text, text) to service_role;

grant execute on function public.svc_stop_socratic(uuid, uuid) to service_role;
