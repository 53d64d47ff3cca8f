-- A person follows his own work; staff follow all. Rows change through the queue's functions alone.

alter table public.jobs enable row level security;
revoke all on public.jobs from public, anon, authenticated, app_admin, service_role;

grant select on public.jobs to authenticated;
grant all on public.jobs to service_role;

create policy all_not_anonymous on public.jobs as restrictive for all to authenticated
    using (((select auth.jwt()) ->> 'is_anonymous') is distinct from 'true')
    with check (((select auth.jwt()) ->> 'is_anonymous') is distinct from 'true');
comment on policy all_not_anonymous on public.jobs is 'Anonymous sign-ins have no rights here.';

create policy select_own on public.jobs for select to authenticated
    using (user_id = (select auth.uid()));
comment on policy select_own on public.jobs is 'The person the work is done for.';

create policy select_admin on public.jobs for select to app_admin
    using (true);
comment on policy select_admin on public.jobs is 'Staff see what runs.';

revoke all on function private.job_id()
from public, anon, authenticated, app_admin, service_role;
-- the service may write the table, and its default with it
grant execute on function private.job_id() to service_role;

revoke all on function private.check_job()
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.change_job()
from public, anon, authenticated, app_admin, service_role;
