-- The job stats_refresh only.

grant execute on function public.refresh_user_stats(uuid) to service_role;
