-- Workers only.

grant execute on function public.svc_complete_jobs(jsonb) to service_role;
grant execute on function public.svc_fail_job(uuid, uuid, text, text, boolean, int, text) to service_role;
grant execute on function public.svc_release_jobs(jsonb) to service_role;
