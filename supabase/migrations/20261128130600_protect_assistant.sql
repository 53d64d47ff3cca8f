-- Grants and row level security of the room 60_assistant.
-- Touches: 60_assistant. Undo: drop what it creates, newest first; nothing in it destroys data.

set lock_timeout = '5s';

-- Teachers read their own row and may correct their name; staff read all. The service makes rows, at an LTI launch or a
-- Canvas connection; they are deleted with the account.

alter table public.teachers enable row level security;

grant select on public.teachers to authenticated;
grant update on public.teachers to authenticated;
grant all on public.teachers to service_role;

create policy select_own on public.teachers for select to authenticated
using (id = (select private.caller_id()));
comment on policy select_own on public.teachers is 'Teachers see their own row.';

create policy all_admin_of_now on public.teachers as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.teachers is 'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.teachers for select to app_admin
using (true);
comment on policy select_admin on public.teachers is 'Staff see every teacher.';

create policy update_own on public.teachers for update to authenticated
using (id = (select private.caller_id()))
with check (id = (select private.caller_id()));
comment on policy update_own on public.teachers is 'Teachers may correct their name.';

-- A thread belongs to one teacher, who may rename and delete it.

alter table public.threads enable row level security;

grant select on public.threads to authenticated;
grant insert (id, teacher_id, title) on public.threads to authenticated;
grant update on public.threads to authenticated;
grant delete on public.threads to authenticated;
grant all on public.threads to service_role;

create policy select_own on public.threads for select to authenticated
using (teacher_id = (select private.caller_id()));
comment on policy select_own on public.threads is 'Teachers see their own conversations.';

create policy insert_own on public.threads for insert to authenticated
with check (teacher_id = (select private.caller_id()));
comment on policy insert_own on public.threads is
    'Teachers open conversations of their own; the foreign key admits only teachers.';

create policy update_own on public.threads for update to authenticated
using (teacher_id = (select private.caller_id()))
with check (teacher_id = (select private.caller_id()));
comment on policy update_own on public.threads is 'Teachers may rename their conversations.';

create policy delete_own on public.threads for delete to authenticated
using (teacher_id = (select private.caller_id()));
comment on policy delete_own on public.threads is 'Teachers may delete their conversations, with their messages.';

-- The teacher of the thread reads it and may add lines. Nobody edits a line; lines are deleted with their thread. Only
-- svc_begin_answer and svc_finish_answer write the assistant's lines. Staff read no chat.

alter table public.messages enable row level security;

grant select on public.messages to authenticated;
grant insert (id, thread_id, role, content, external_id) on public.messages to authenticated;
grant all on public.messages to service_role;

create policy select_own on public.messages for select to authenticated
using (thread_id = any((select private.my_threads())::uuid[]));
comment on policy select_own on public.messages is 'Teachers see the lines of their own conversations.';

create policy insert_own on public.messages for insert to authenticated
with check (role = 'user' and thread_id = any((select private.my_threads())::uuid[]));
comment on policy insert_own on public.messages is 'Teachers write their own lines, in their own conversations.';

-- Its teacher reads it; the service writes it.

alter table public.courses_cache enable row level security;

grant select on public.courses_cache to authenticated;
grant all on public.courses_cache to service_role;

create policy select_own on public.courses_cache for select to authenticated
using (teacher_id = (select private.caller_id()));
comment on policy select_own on public.courses_cache is 'Teachers see the Canvas courses fetched for them.';

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

-- Teachers add links and texts. Files and Canvas pages come through the service, which alone knows what it stored, as
-- do extracted text and state.

alter table public.content_sources enable row level security;

grant select on public.content_sources to authenticated;
grant insert (
    id, teacher_id, class_id, kind, title, source_url, text_content, metadata, status
) on public.content_sources to authenticated;
grant update on public.content_sources to authenticated;
grant delete on public.content_sources to authenticated;
grant all on public.content_sources to service_role;

create policy select_own on public.content_sources for select to authenticated
using (teacher_id = (select private.caller_id()));
comment on policy select_own on public.content_sources is 'Teachers see their own material.';

create policy insert_own on public.content_sources for insert to authenticated
with check (teacher_id = (select private.caller_id()) and kind in ('url', 'text') and status = 'pending');
comment on policy insert_own on public.content_sources is 'Teachers add links and texts, which wait for extraction.';

create policy update_own on public.content_sources for update to authenticated
using (teacher_id = (select private.caller_id()))
with check (teacher_id = (select private.caller_id()));
comment on policy update_own on public.content_sources is
    'Teachers rename material or move it to another of their classes.';

create policy delete_own on public.content_sources for delete to authenticated
using (teacher_id = (select private.caller_id()));
comment on policy delete_own on public.content_sources is
    'Teachers delete material; a trigger puts a stored file into the outbox.';

-- The service writes it; its teacher edits, approves, archives and deletes it.

alter table public.generated_content enable row level security;

grant select on public.generated_content to authenticated;
grant update on public.generated_content to authenticated;
grant delete on public.generated_content to authenticated;
grant all on public.generated_content to service_role;

create policy select_own on public.generated_content for select to authenticated
using (teacher_id = (select private.caller_id()));
comment on policy select_own on public.generated_content is 'Teachers see what was written for them.';

create policy update_own on public.generated_content for update to authenticated
using (teacher_id = (select private.caller_id()))
with check (teacher_id = (select private.caller_id()));
comment on policy update_own on public.generated_content is
    'Teachers edit and approve it, and move it to another class.';

create policy delete_own on public.generated_content for delete to authenticated
using (teacher_id = (select private.caller_id()));
comment on policy delete_own on public.generated_content is 'Teachers delete it.';

-- Run inside policies, as the caller.

grant execute on function private.my_threads() to authenticated;

-- The chat service and its worker only.

grant execute on function public.svc_begin_answer(uuid, uuid, text, text, text) to service_role;

grant execute on function public.svc_finish_answer(uuid, text, text, text, jsonb, jsonb, text, text, text)
to service_role;

-- Workers only.

grant execute on function public.svc_sweep_generations() to service_role;
