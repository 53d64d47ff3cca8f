-- Workers only.

grant execute on function public.svc_claim_jobs(text, text[], int, int, uuid) to service_role;
grant execute on function public.svc_heartbeat_jobs(jsonb, int) to service_role;
