-- No API role reaches the table; workers use the queue's functions.

alter table private.job_runtime enable row level security;
revoke all on private.job_runtime from public, anon, authenticated, app_admin, service_role;

create policy nobody on private.job_runtime for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.job_runtime is 'Nobody reaches inputs and leases by the API.';

alter table private.job_claims enable row level security;
revoke all on private.job_claims from public, anon, authenticated, app_admin, service_role;

create policy nobody on private.job_claims for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.job_claims is 'Nobody reaches claims by the API.';

revoke all on sequence private.job_front from public, anon, authenticated, app_admin, service_role;
revoke all on sequence private.job_look from public, anon, authenticated, app_admin, service_role;

revoke all on function private.delete_runtime()
from public, anon, authenticated, app_admin, service_role;
