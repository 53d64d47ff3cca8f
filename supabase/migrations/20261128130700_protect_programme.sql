-- Grants and row level security of the room 70_programme.
-- Touches: 70_programme. Undo: drop what it creates, newest first; nothing in it destroys data.

set lock_timeout = '5s';

-- Learners write their own programme.

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
comment on policy select_own on public.weeks is 'Learners see their own weeks.';

create policy insert_own on public.weeks for insert to authenticated
with check (user_id = (select private.caller_id()));
comment on policy insert_own on public.weeks is 'Learners plan their own weeks.';

create policy update_own on public.weeks for update to authenticated
using (user_id = (select private.caller_id()))
with check (user_id = (select private.caller_id()));
comment on policy update_own on public.weeks is 'Learners change their own weeks.';

create policy delete_own on public.weeks for delete to authenticated
using (user_id = (select private.caller_id()));
comment on policy delete_own on public.weeks is 'Learners delete their own weeks, with everything below them.';

-- The owner of the week reads them; the service writes them.

alter table public.clo_notes enable row level security;

grant select on public.clo_notes to authenticated;
grant all on public.clo_notes to service_role;

create policy select_own on public.clo_notes for select to authenticated
using (week_id = any((select private.my_weeks())::uuid[]));
comment on policy select_own on public.clo_notes is 'Learners see the learning objectives of their own weeks.';

-- The owner of the week reads them; the service writes them.

alter table public.engineer_notes enable row level security;

grant select on public.engineer_notes to authenticated;
grant all on public.engineer_notes to service_role;

create policy select_own on public.engineer_notes for select to authenticated
using (week_id = any((select private.my_weeks())::uuid[]));
comment on policy select_own on public.engineer_notes is 'Learners see the code notes of their own weeks.';

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

-- The owner of the week reads them; the service writes them.

alter table public.brand_packages enable row level security;

grant select on public.brand_packages to authenticated;
grant all on public.brand_packages to service_role;

create policy select_own on public.brand_packages for select to authenticated
using (week_id = any((select private.my_weeks())::uuid[]));
comment on policy select_own on public.brand_packages is 'Learners see the brand packages of their own weeks.';

-- The person of the week reads them; the service writes them.

alter table public.kpi_metrics enable row level security;

grant select on public.kpi_metrics to authenticated;
grant all on public.kpi_metrics to service_role;

create policy select_own on public.kpi_metrics for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.kpi_metrics is 'Learners see their own metrics.';

-- Learners ask for reviews and may delete them; the service writes state and result.

alter table public.reviews enable row level security;

grant select on public.reviews to authenticated;
grant insert (id, user_id, github_url, depth, week_id) on public.reviews to authenticated;
grant delete on public.reviews to authenticated;
grant all on public.reviews to service_role;

create policy select_own on public.reviews for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.reviews is 'Learners see their own reviews.';

create policy insert_own on public.reviews for insert to authenticated
with check (user_id = (select private.caller_id()));
comment on policy insert_own on public.reviews is 'Learners ask for a review of a repository.';

create policy delete_own on public.reviews for delete to authenticated
using (user_id = (select private.caller_id()));
comment on policy delete_own on public.reviews is 'Learners delete their reviews.';

-- Run inside policies, as the caller.

grant execute on function private.my_weeks() to authenticated;

grant execute on function private.my_socratic_sessions() to authenticated;

grant execute on function private.my_open_socratic_sessions() to authenticated;
