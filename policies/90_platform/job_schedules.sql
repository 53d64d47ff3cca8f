-- No API role has rights on the table; schedules are written by migrations.

alter table private.job_schedules enable row level security;

create policy nobody on private.job_schedules for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.job_schedules is 'Closed on purpose: nobody uses the schedules over the API.';

grant execute on function public.svc_tick_schedules() to service_role;
