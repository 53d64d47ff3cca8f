-- The job stats_refresh only.

revoke all on function public.refresh_user_stats(uuid) from public, anon, authenticated, app_admin, service_role;
grant execute on function public.refresh_user_stats(uuid) to service_role;
