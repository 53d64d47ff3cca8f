-- Own rows only, not even for staff; teachers see no student's row. Sync writes.

alter table public.assignments enable row level security;

revoke all on public.assignments from public, anon, authenticated, app_admin, service_role;
grant select on public.assignments to authenticated;
grant all on public.assignments to service_role;

create policy all_not_anonymous on public.assignments as restrictive to authenticated
using ((select auth.jwt()) ->> 'is_anonymous' is distinct from 'true')
with check ((select auth.jwt()) ->> 'is_anonymous' is distinct from 'true');
comment on policy all_not_anonymous on public.assignments is 'Anonymous sign-ins get nothing.';

create policy select_own on public.assignments for select to authenticated
using (user_id = (select auth.uid()));
comment on policy select_own on public.assignments is 'A person sees his own assignments.';
