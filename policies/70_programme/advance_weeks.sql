-- The jobs of weeks alone.

grant execute on function public.svc_advance_weeks(int) to service_role;
grant execute on function public.svc_refresh_weeks(uuid, int, timestamptz) to service_role;
grant execute on function public.svc_archive_weeks(int, int) to service_role;
