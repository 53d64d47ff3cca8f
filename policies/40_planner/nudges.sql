-- Own rows only. The service writes; the person notes opening and clicking by mark_nudge.

alter table public.nudges enable row level security;

revoke all on public.nudges from public, anon, authenticated, app_admin, service_role;
grant select on public.nudges to authenticated;
grant all on public.nudges to service_role;

create policy all_not_anonymous on public.nudges as restrictive to authenticated
using ((select auth.jwt()) ->> 'is_anonymous' is distinct from 'true')
with check ((select auth.jwt()) ->> 'is_anonymous' is distinct from 'true');
comment on policy all_not_anonymous on public.nudges is 'Anonymous sign-ins get nothing.';

create policy select_own on public.nudges for select to authenticated
using (user_id = (select auth.uid()));
comment on policy select_own on public.nudges is 'A person sees his own nudges.';
