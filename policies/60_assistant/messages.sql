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
