-- No API role reaches the table; a trigger keeps it.

alter table private.job_keys enable row level security;
revoke all on private.job_keys from public, anon, authenticated, app_admin, service_role;

create policy nobody on private.job_keys for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.job_keys is 'Nobody reaches the keys by the API.';

revoke all on function private.take_job_key()
from public, anon, authenticated, app_admin, service_role;
