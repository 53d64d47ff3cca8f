-- Grants and row level security of the room 50_lectures.
-- Touches: 50_lectures. Undo: drop what it creates, newest first; nothing in it destroys data.

set lock_timeout = '5s';

-- Pure. Whoever writes catalog_courses runs it through the check of the code column.

grant execute on function public.normalize_course_code(text) to authenticated, service_role;

-- Every signed-in person reads the catalogue. People add a course by ensure_catalog_course and may correct their own
-- while it is not official; staff write the list.

alter table public.catalog_courses enable row level security;

grant select, update on public.catalog_courses to authenticated;
grant insert, delete on public.catalog_courses to app_admin;
grant all on public.catalog_courses to service_role;

create policy select_all on public.catalog_courses for select to authenticated
using ((select private.caller_id()) is not null);
comment on policy select_all on public.catalog_courses is 'Every signed-in person sees the catalogue.';

create policy update_creator on public.catalog_courses for update to authenticated
using (created_by = (select private.caller_id()) and not is_official)
with check (created_by = (select private.caller_id()) and not is_official);
comment on policy update_creator on public.catalog_courses is
    'Whoever added a course corrects it, until the school''s list contains it.';

create policy all_admin_of_now on public.catalog_courses as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.catalog_courses is
    'What follows for staff lasts while the profile says admin.';

create policy insert_admin on public.catalog_courses for insert to app_admin
with check (true);
comment on policy insert_admin on public.catalog_courses is 'Staff add courses.';

create policy update_admin on public.catalog_courses for update to app_admin
using (true)
with check (true);
comment on policy update_admin on public.catalog_courses is 'Staff correct title and instructor.';

create policy delete_admin on public.catalog_courses for delete to app_admin
using (true);
comment on policy delete_admin on public.catalog_courses is
    'Staff delete unused courses; the foreign keys protect used ones.';

-- Seen by people with a link. The service writes.

alter table public.lectures enable row level security;

grant select on public.lectures to authenticated;
grant all on public.lectures to service_role;

create policy select_linked on public.lectures for select to authenticated
using (id = any((select private.my_lectures())::uuid[]));
comment on policy select_linked on public.lectures is 'People see the lectures they follow.';

-- a check of the table asks it as whoever writes
grant execute on function private.is_fetchable(text) to service_role;

-- Own links only. Only the service makes one, because a link is the right to see the lecture.

alter table public.user_lectures enable row level security;

grant select, delete on public.user_lectures to authenticated;
grant all on public.user_lectures to service_role;

create policy select_own on public.user_lectures for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.user_lectures is 'People see their own links.';

create policy delete_own on public.user_lectures for delete to authenticated
using (user_id = (select private.caller_id()));
comment on policy delete_own on public.user_lectures is
    'People stop following; deleting the last link deletes the lecture.';

grant execute on function private.my_lectures() to authenticated;

-- Own files only, not even for staff. The service stores them; the person may rename and delete.

alter table public.documents enable row level security;

grant select, delete, update on public.documents to authenticated;
grant all on public.documents to service_role;

create policy select_own on public.documents for select to authenticated
using (owner_id = (select private.caller_id()));
comment on policy select_own on public.documents is 'People see their own files.';

create policy update_own on public.documents for update to authenticated
using (owner_id = (select private.caller_id()))
with check (owner_id = (select private.caller_id()));
comment on policy update_own on public.documents is 'People rename their own files.';

create policy delete_own on public.documents for delete to authenticated
using (owner_id = (select private.caller_id()));
comment on policy delete_own on public.documents is
    'People delete their own files; a trigger puts the stored file into the outbox.';

-- Any signed-in person. The bound body of the public function calls the private one.

grant execute on function private.ensure_catalog_course(text, text) to authenticated;
grant execute on function public.ensure_catalog_course(text, text) to authenticated;

-- The service only; it checked the caller.

grant execute on function public.svc_submit_lecture(uuid, uuid, text, text, text, text, text) to service_role;

-- The service only.

grant execute on function public.svc_sync_catalog(jsonb, numeric) to service_role;
