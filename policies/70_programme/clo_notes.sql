-- Read by the owner of the week; written by the service.

alter table public.clo_notes enable row level security;
revoke all on public.clo_notes from public, anon, authenticated, app_admin, service_role;

grant select on public.clo_notes to authenticated;
grant all on public.clo_notes to service_role;

create policy all_not_anonymous on public.clo_notes as restrictive for all to authenticated
    using (((select auth.jwt()) ->> 'is_anonymous') is distinct from 'true')
    with check (((select auth.jwt()) ->> 'is_anonymous') is distinct from 'true');
comment on policy all_not_anonymous on public.clo_notes is 'Anonymous sign-ins have no rights here.';

create policy select_own on public.clo_notes for select to authenticated
    using (week_id = any ((select private.my_weeks())::uuid[]));
comment on policy select_own on public.clo_notes is 'A learner sees the learning objectives of his own weeks.';
