-- Grants and row level security of the room 70_programme.
-- Touches: 70_programme. Undo: drop what it creates, newest first; nothing in it destroys data.

set lock_timeout = '5s';

-- Everybody keeps his own programme.

alter table public.weeks enable row level security;

grant select on public.weeks to authenticated;
grant insert (
    id, user_id, week_number, start_date, end_date, status, focus_area, estimated_hours, actual_hours,
    completion_percentage
) on public.weeks to authenticated;
grant update on public.weeks to authenticated;
grant delete on public.weeks to authenticated;
grant all on public.weeks to service_role;

create policy select_own on public.weeks for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.weeks is 'A learner sees his own weeks.';

create policy insert_own on public.weeks for insert to authenticated
with check (user_id = (select private.caller_id()));
comment on policy insert_own on public.weeks is 'A learner plans his own weeks.';

create policy update_own on public.weeks for update to authenticated
using (user_id = (select private.caller_id()))
with check (user_id = (select private.caller_id()));
comment on policy update_own on public.weeks is 'A learner changes his own weeks.';

create policy delete_own on public.weeks for delete to authenticated
using (user_id = (select private.caller_id()));
comment on policy delete_own on public.weeks is 'A learner deletes his own weeks, and what hangs below them.';

-- Read by the owner of the week; written by the service.

alter table public.clo_notes enable row level security;

grant select on public.clo_notes to authenticated;
grant all on public.clo_notes to service_role;

create policy select_own on public.clo_notes for select to authenticated
using (week_id = any((select private.my_weeks())::uuid[]));
comment on policy select_own on public.clo_notes is 'A learner sees the learning objectives of his own weeks.';

-- Read by the owner of the week; written by the service.

alter table public.engineer_notes enable row level security;

grant select on public.engineer_notes to authenticated;
grant all on public.engineer_notes to service_role;

create policy select_own on public.engineer_notes for select to authenticated
using (week_id = any((select private.my_weeks())::uuid[]));
comment on policy select_own on public.engineer_notes is 'A learner sees the code notes of his own weeks.';

-- The learner opens, renames and closes; counts and insights are the service's.

alter table public.socratic_sessions enable row level security;

grant select on public.socratic_sessions to authenticated;
grant insert (id, user_id, week_id, topic, voice_enabled) on public.socratic_sessions to authenticated;
grant update on public.socratic_sessions to authenticated;
grant delete on public.socratic_sessions to authenticated;
grant all on public.socratic_sessions to service_role;

create policy select_own on public.socratic_sessions for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.socratic_sessions is 'A learner sees his own dialogues.';

create policy insert_own on public.socratic_sessions for insert to authenticated
with check (user_id = (select private.caller_id()));
comment on policy insert_own on public.socratic_sessions is
    'A learner opens a dialogue; the foreign key admits his own weeks only.';

create policy update_own on public.socratic_sessions for update to authenticated
using (user_id = (select private.caller_id()))
with check (user_id = (select private.caller_id()));
comment on policy update_own on public.socratic_sessions is 'A learner renames or closes his dialogue.';

create policy delete_own on public.socratic_sessions for delete to authenticated
using (user_id = (select private.caller_id()));
comment on policy delete_own on public.socratic_sessions is 'A learner deletes his dialogue.';

-- Read through the session; the learner adds his own lines while it is open. Lines go with their session.

alter table public.socratic_messages enable row level security;

grant select on public.socratic_messages to authenticated;
grant insert (id, session_id, role, content) on public.socratic_messages to authenticated;
grant all on public.socratic_messages to service_role;

create policy select_own on public.socratic_messages for select to authenticated
using (session_id = any((select private.my_socratic_sessions())::uuid[]));
comment on policy select_own on public.socratic_messages is 'A learner sees the lines of his own dialogues.';

create policy insert_own on public.socratic_messages for insert to authenticated
with check (role = 'user' and session_id = any((select private.my_open_socratic_sessions())::uuid[]));
comment on policy insert_own on public.socratic_messages is 'A learner speaks for himself, in his own open dialogue.';

-- Read by the owner of the week; written by the service.

alter table public.brand_packages enable row level security;

grant select on public.brand_packages to authenticated;
grant all on public.brand_packages to service_role;

create policy select_own on public.brand_packages for select to authenticated
using (week_id = any((select private.my_weeks())::uuid[]));
comment on policy select_own on public.brand_packages is 'A learner sees the brand packages of his own weeks.';

-- Read by their person; written by the service.

alter table public.kpi_metrics enable row level security;

grant select on public.kpi_metrics to authenticated;
grant all on public.kpi_metrics to service_role;

create policy select_own on public.kpi_metrics for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.kpi_metrics is 'A learner sees his own metrics.';

-- A learner asks for a review and may throw it away; state and result are the service's.

alter table public.reviews enable row level security;

grant select on public.reviews to authenticated;
grant insert (id, user_id, github_url, depth, week_id) on public.reviews to authenticated;
grant delete on public.reviews to authenticated;
grant all on public.reviews to service_role;

create policy select_own on public.reviews for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.reviews is 'A learner sees his own reviews.';

create policy insert_own on public.reviews for insert to authenticated
with check (user_id = (select private.caller_id()));
comment on policy insert_own on public.reviews is 'A learner asks for a review of a repository.';

create policy delete_own on public.reviews for delete to authenticated
using (user_id = (select private.caller_id()));
comment on policy delete_own on public.reviews is 'A learner deletes his review.';

-- Run inside policies, as the caller.

grant execute on function private.my_weeks() to authenticated;

grant execute on function private.my_socratic_sessions() to authenticated;

grant execute on function private.my_open_socratic_sessions() to authenticated;
