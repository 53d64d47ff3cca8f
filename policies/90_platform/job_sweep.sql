-- Workers only.

grant execute on function public.svc_reap_expired_jobs(int) to service_role;
grant execute on function public.svc_count_waiting_jobs() to service_role;
