-- People follow their own work; staff follow all. Rows change through the queue's functions alone.

alter table public.jobs enable row level security;

grant select on public.jobs to authenticated;
grant all on public.jobs to service_role;

create policy select_own on public.jobs for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.jobs is 'The person the work is done for.';

create policy all_admin_of_now on public.jobs as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.jobs is 'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.jobs for select to app_admin
using (true);
comment on policy select_admin on public.jobs is 'Staff see what runs.';
