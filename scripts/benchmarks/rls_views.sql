-- A small school for the views: 200 students with 5 goals each, bench.factor x 10 sessions and x 100 practice items,
-- questions and (x 2) overrides a student. Runs like rls_school.sql, on a database without people.

set session_replication_role = replica;
select setseed(0.42);
create or replace function pg_temp.student(n int) returns uuid language sql immutable
as $$ select ('00000000-0000-4000-8001-' || lpad(to_hex(n), 12, '0'))::uuid $$;
create or replace function pg_temp.subject(n int) returns uuid language sql immutable
as $$ select ('00000000-0000-4000-8009-' || lpad(to_hex(n), 12, '0'))::uuid $$;

truncate auth.users, public.subjects cascade;
insert into auth.users (id, email) select pg_temp.student(n), n || '@example.test' from generate_series(1, 200) as n;
insert into public.profiles (user_id) select id from auth.users;
insert into public.subjects (id, name) select pg_temp.subject(n), 'Subject ' || n from generate_series(1, 5) as n;
insert into public.goals (student_id, subject_id, title)
select pg_temp.student(s), pg_temp.subject(k), 'Goal' from generate_series(1, 200) as s, generate_series(1, 5) as k;
insert into public.student_ratings (student_id, subject_id, rating)
select pg_temp.student(s), pg_temp.subject(k), 1000 from generate_series(1, 200) as s, generate_series(1, 5) as k;
insert into public.tutoring_sessions (student_id, session_date, subject_id, tutor_id)
select pg_temp.student(s), now() - n * interval '1 hour', pg_temp.subject(1 + n % 5), null
from generate_series(1, 200) as s, generate_series(1, 10 * current_setting('bench.factor')::int) as n;
insert into public.practice_assignments (student_id, source, ai_question_text, subject_id, completed, completed_at, performance_score)
select pg_temp.student(s), 'ai_generated', 'Solve it.', pg_temp.subject(1 + n % 5), true, now(), 0.5
from generate_series(1, 200) as s, generate_series(1, 100 * current_setting('bench.factor')::int) as n;
insert into public.qa_interactions (student_id, query, answer, confidence)
select pg_temp.student(s), 'q', 'a', (array['High', 'Medium', 'Low'])[1 + n % 3]::public.qa_confidence
from generate_series(1, 200) as s, generate_series(1, 100 * current_setting('bench.factor')::int) as n;
insert into public.overrides (student_id, override_type, action, original_content, new_content, subject_id, created_at)
select pg_temp.student(s), 'summary', 'edit', '{}', '{}', pg_temp.subject(1 + n % 5), now() - n * interval '1 day'
from generate_series(1, 200) as s, generate_series(1, 2 * current_setting('bench.factor')::int) as n;

set session_replication_role = origin;
analyze;
