-- No API role reaches the table; staff read it through admin_list_audit.

alter table private.audit_log enable row level security;
revoke all on private.audit_log from public, anon, authenticated, app_admin, service_role;

create policy nobody on private.audit_log for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.audit_log is 'Nobody reaches the audit log by the API.';

revoke all on function private.keep_audit_log() from public, anon, authenticated, app_admin, service_role;

revoke all on function private.admin_list_audit(uuid, int) from public, anon, authenticated, app_admin, service_role;
grant execute on function private.admin_list_audit(uuid, int) to app_admin;

revoke all on function public.admin_list_audit(uuid, int) from public, anon, authenticated, app_admin, service_role;
grant execute on function public.admin_list_audit(uuid, int) to app_admin;
