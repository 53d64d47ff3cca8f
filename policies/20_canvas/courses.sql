-- Own rows only, not even for staff. Sync writes; the person may only switch a course on and off.

alter table public.courses enable row level security;

revoke all on public.courses from public, anon, authenticated, app_admin, service_role;
grant select, update (is_active) on public.courses to authenticated;
grant all on public.courses to service_role;

create policy all_not_anonymous on public.courses as restrictive to authenticated
using ((select auth.jwt()) ->> 'is_anonymous' is distinct from 'true')
with check ((select auth.jwt()) ->> 'is_anonymous' is distinct from 'true');
comment on policy all_not_anonymous on public.courses is 'Anonymous sign-ins get nothing.';

create policy select_own on public.courses for select to authenticated
using (user_id = (select auth.uid()));
comment on policy select_own on public.courses is 'A person sees his own courses.';

create policy update_own on public.courses for update to authenticated
using (user_id = (select auth.uid()))
with check (user_id = (select auth.uid()));
comment on policy update_own on public.courses is 'A person switches his own courses on and off.';
