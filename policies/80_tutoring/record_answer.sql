-- The service records answers; no client may say what an answer is worth.

grant execute on function public.svc_record_answer(
    uuid, uuid, text, text, numeric, text, text, numeric, int, timestamptz, jsonb, timestamptz
) to service_role;

grant execute on function public.svc_submit_answer(uuid, uuid, text, text, int, timestamptz) to service_role;

grant execute on function public.svc_get_submission(uuid) to service_role;
