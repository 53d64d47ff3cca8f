-- Own rows only, not even for staff. The service writes.

alter table public.headstart_runs enable row level security;

revoke all on public.headstart_runs from public, anon, authenticated, app_admin, service_role;
grant select on public.headstart_runs to authenticated;
grant all on public.headstart_runs to service_role;

create policy all_not_anonymous on public.headstart_runs as restrictive to authenticated
using ((select auth.jwt()) ->> 'is_anonymous' is distinct from 'true')
with check ((select auth.jwt()) ->> 'is_anonymous' is distinct from 'true');
comment on policy all_not_anonymous on public.headstart_runs is 'Anonymous sign-ins get nothing.';

create policy select_own on public.headstart_runs for select to authenticated
using (user_id = (select auth.uid()));
comment on policy select_own on public.headstart_runs is 'A person sees his own runs.';

revoke all on function private.stamp_headstart_run() from public, anon, authenticated, app_admin, service_role;
