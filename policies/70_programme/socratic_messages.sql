-- Read through the session; learners add lines of their own while it is open. Lines are deleted with their session.

alter table public.socratic_messages enable row level security;

grant select on public.socratic_messages to authenticated;
grant insert (id, session_id, role, content) on public.socratic_messages to authenticated;
grant all on public.socratic_messages to service_role;

create policy select_own on public.socratic_messages for select to authenticated
using (session_id = any((select private.my_socratic_sessions())::uuid[]));
comment on policy select_own on public.socratic_messages is 'Learners see the lines of their own dialogues.';

create policy insert_own on public.socratic_messages for insert to authenticated
with check (role = 'user' and session_id = any((select private.my_open_socratic_sessions())::uuid[]));
comment on policy insert_own on public.socratic_messages is
    'Learners write their own lines, in their own open dialogues.';
