-- The tutoring service and its worker only.

grant execute on function public.svc_begin_question(uuid, text, text, uuid, uuid, uuid[]) to service_role;

grant execute on function public.svc_load_question(uuid) to service_role;

grant execute on function public.svc_finish_question(
    uuid, text, text, text, jsonb, jsonb, text, text, text, text, bigint, jsonb[], jsonb
) to service_role;

grant execute on function public.svc_stop_question(uuid, uuid) to service_role;
