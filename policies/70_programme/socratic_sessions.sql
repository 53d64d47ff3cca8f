-- Learners open, rename and close; the service writes counts and insights.

alter table public.socratic_sessions enable row level security;

grant select on public.socratic_sessions to authenticated;
grant insert (id, user_id, week_id, topic, voice_enabled) on public.socratic_sessions to authenticated;
grant update on public.socratic_sessions to authenticated;
grant delete on public.socratic_sessions to authenticated;
grant all on public.socratic_sessions to service_role;

create policy select_own on public.socratic_sessions for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.socratic_sessions is 'Learners see their own dialogues.';

create policy insert_own on public.socratic_sessions for insert to authenticated
with check (user_id = (select private.caller_id()));
comment on policy insert_own on public.socratic_sessions is
    'Learners open dialogues; the foreign key admits only their own weeks.';

create policy update_own on public.socratic_sessions for update to authenticated
using (user_id = (select private.caller_id()))
with check (user_id = (select private.caller_id()));
comment on policy update_own on public.socratic_sessions is 'Learners rename or close their dialogues.';

create policy delete_own on public.socratic_sessions for delete to authenticated
using (user_id = (select private.caller_id()));
comment on policy delete_own on public.socratic_sessions is 'Learners delete their dialogues.';
