-- A teacher keeps his own classes.

alter table public.classes enable row level security;
revoke all on public.classes from public, anon, authenticated, app_admin, service_role;

grant select on public.classes to authenticated;
grant insert (
    id, teacher_id, canvas_course_id, catalog_course_id, name, section, term, status
) on public.classes to authenticated;
grant update (name, section, term, status) on public.classes to authenticated;
grant delete on public.classes to authenticated;
grant all on public.classes to service_role;

create policy all_not_anonymous on public.classes as restrictive for all to authenticated
    using (((select auth.jwt()) ->> 'is_anonymous') is distinct from 'true')
    with check (((select auth.jwt()) ->> 'is_anonymous') is distinct from 'true');
comment on policy all_not_anonymous on public.classes is 'Anonymous sign-ins have no rights here.';

create policy select_own on public.classes for select to authenticated
    using (teacher_id = (select auth.uid()));
comment on policy select_own on public.classes is 'A teacher sees his own classes.';

create policy insert_own on public.classes for insert to authenticated
    with check (teacher_id = (select auth.uid()));
comment on policy insert_own on public.classes is 'A teacher adds a class of his own.';

create policy update_own on public.classes for update to authenticated
    using (teacher_id = (select auth.uid()))
    with check (teacher_id = (select auth.uid()));
comment on policy update_own on public.classes is 'A teacher renames or archives his class.';

create policy delete_own on public.classes for delete to authenticated
    using (teacher_id = (select auth.uid()));
comment on policy delete_own on public.classes is 'A teacher deletes his class; its material stays, without a class.';
