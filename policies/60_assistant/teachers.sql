-- A teacher reads his own row and may correct his name; staff read all. Rows come from the LTI launch and the Canvas
-- connection (service), and go with the account.

alter table public.teachers enable row level security;
revoke all on public.teachers from public, anon, authenticated, app_admin, service_role;

grant select on public.teachers to authenticated;
grant update (name) on public.teachers to authenticated;
grant all on public.teachers to service_role;

create policy all_not_anonymous on public.teachers as restrictive for all to authenticated
    using (((select auth.jwt()) ->> 'is_anonymous') is distinct from 'true')
    with check (((select auth.jwt()) ->> 'is_anonymous') is distinct from 'true');
comment on policy all_not_anonymous on public.teachers is 'Anonymous sign-ins have no rights here.';

create policy select_own on public.teachers for select to authenticated
    using (id = (select auth.uid()));
comment on policy select_own on public.teachers is 'A teacher sees himself.';

create policy select_admin on public.teachers for select to app_admin
    using (true);
comment on policy select_admin on public.teachers is 'Staff see every teacher.';

create policy update_own on public.teachers for update to authenticated
    using (id = (select auth.uid()))
    with check (id = (select auth.uid()));
comment on policy update_own on public.teachers is 'A teacher may correct his name.';
