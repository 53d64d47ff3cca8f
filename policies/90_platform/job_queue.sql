-- The queue belongs to the service.

grant execute on function public.svc_enqueue_job(text, jsonb, uuid, uuid, text, text, int, timestamptz, int, int, text) to service_role;

grant execute on function public.svc_exchange_jobs(jsonb, text, text[], int, int, uuid) to service_role;

grant execute on function public.svc_claim_jobs(text, text[], int, int, uuid) to service_role;

grant execute on function public.svc_heartbeat_jobs(jsonb, int) to service_role;

grant execute on function public.svc_complete_jobs(jsonb) to service_role;

grant execute on function public.svc_fail_job(uuid, uuid, text, text, boolean, int, text) to service_role;

grant execute on function public.svc_release_jobs(jsonb) to service_role;

grant execute on function public.svc_reap_expired_jobs(int) to service_role;

grant execute on function public.svc_count_waiting_jobs() to service_role;
