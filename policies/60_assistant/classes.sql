-- A teacher keeps his own classes.

alter table public.classes enable row level security;

grant select on public.classes to authenticated;
grant insert (
    id, teacher_id, canvas_course_id, canvas_id, catalog_course_id, name, section, term, status
) on public.classes to authenticated;
grant update on public.classes to authenticated;
grant delete on public.classes to authenticated;
grant all on public.classes to service_role;

create policy select_own on public.classes for select to authenticated
using (teacher_id = (select private.caller_id()));
comment on policy select_own on public.classes is 'A teacher sees his own classes.';

create policy insert_own on public.classes for insert to authenticated
with check (teacher_id = (select private.caller_id()));
comment on policy insert_own on public.classes is 'A teacher adds a class of his own.';

create policy update_own on public.classes for update to authenticated
using (teacher_id = (select private.caller_id()))
with check (teacher_id = (select private.caller_id()));
comment on policy update_own on public.classes is 'A teacher renames or archives his class.';

create policy delete_own on public.classes for delete to authenticated
using (teacher_id = (select private.caller_id()));
comment on policy delete_own on public.classes is 'A teacher deletes his class; its material stays, without a class.';
