-- The service only.

grant execute on function public.svc_enqueue_job(text, jsonb, uuid, uuid, text, text, int, timestamptz, int, int, text)
to service_role;
