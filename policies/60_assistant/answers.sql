-- The chat service and its worker only.

grant execute on function public.svc_begin_answer(uuid, uuid, text, text, text, uuid, uuid[]) to service_role;

grant execute on function public.svc_load_answer(uuid) to service_role;

grant execute on function public.svc_finish_answer(
    uuid, text, text, text, jsonb, jsonb, text, text, text, bigint, jsonb[], text, text
) to service_role;

grant execute on function public.svc_stop_answer(uuid, uuid) to service_role;
