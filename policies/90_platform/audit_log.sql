-- No API role has rights on the table; staff read it through admin_list_audit.

alter table private.audit_log enable row level security;

create policy nobody on private.audit_log for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.audit_log is 'Closed on purpose: nobody uses the audit log over the API.';

grant execute on function private.admin_list_audit(uuid, int) to app_admin;

grant execute on function public.admin_list_audit(uuid, int) to app_admin;
