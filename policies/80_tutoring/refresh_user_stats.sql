-- The job stats_refresh only.

grant execute on function public.refresh_user_stats(uuid) to service_role;

grant execute on function public.svc_refresh_stats(uuid, int) to service_role;
