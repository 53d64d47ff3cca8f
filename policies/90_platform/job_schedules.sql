-- No API role reaches the table; schedules are written by migrations.

alter table private.job_schedules enable row level security;
revoke all on private.job_schedules from public, anon, authenticated, app_admin, service_role;

create policy nobody on private.job_schedules for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.job_schedules is 'Nobody reaches the schedules by the API.';

revoke all on function private.cron_field(text, int, int)
from public, anon, authenticated, app_admin, service_role;
revoke all on function private.cron_next(text, text, timestamptz)
from public, anon, authenticated, app_admin, service_role;
revoke all on function private.check_schedule()
from public, anon, authenticated, app_admin, service_role;
