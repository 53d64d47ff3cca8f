-- Read by the owner of the week; written by the service.

alter table public.engineer_notes enable row level security;
revoke all on public.engineer_notes from public, anon, authenticated, app_admin, service_role;

grant select on public.engineer_notes to authenticated;
grant all on public.engineer_notes to service_role;

create policy all_not_anonymous on public.engineer_notes as restrictive for all to authenticated
    using (((select auth.jwt()) ->> 'is_anonymous') is distinct from 'true')
    with check (((select auth.jwt()) ->> 'is_anonymous') is distinct from 'true');
comment on policy all_not_anonymous on public.engineer_notes is 'Anonymous sign-ins have no rights here.';

create policy select_own on public.engineer_notes for select to authenticated
    using (week_id = any ((select private.my_weeks())::uuid[]));
comment on policy select_own on public.engineer_notes is 'A learner sees the code notes of his own weeks.';
