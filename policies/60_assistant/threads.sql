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
