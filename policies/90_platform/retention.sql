-- The daily schedule only.

revoke all on function private.fail_stuck_rows() from public, anon, authenticated, app_admin, service_role;

revoke all on function public.svc_purge_expired() from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_purge_expired() to service_role;
