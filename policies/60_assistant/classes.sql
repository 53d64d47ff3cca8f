-- Teachers write their own classes.

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
comment on policy select_own on public.classes is 'Teachers see their own classes.';

create policy insert_own on public.classes for insert to authenticated
with check (teacher_id = (select private.caller_id()));
comment on policy insert_own on public.classes is 'Teachers add classes of their own.';

create policy update_own on public.classes for update to authenticated
using (teacher_id = (select private.caller_id()))
with check (teacher_id = (select private.caller_id()));
comment on policy update_own on public.classes is 'Teachers rename or archive their classes.';

create policy delete_own on public.classes for delete to authenticated
using (teacher_id = (select private.caller_id()));
comment on policy delete_own on public.classes is 'Teachers delete their classes; the material stays, without a class.';
