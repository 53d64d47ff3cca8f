-- A large, skewed school for ./scripts/bench rls. Runs as a superuser with session_replication_role = replica: no
-- trigger, no foreign key check; every row obeys them all the same. Sizes come as settings bench.<name>. Ids are
-- readable: pg_temp.person(kind, n) is the n-th student (1), tutor (2), parent (3) or administrator (4).

set session_replication_role = replica;
select setseed(0.42);

create or replace function pg_temp.size(name text) returns int language sql stable
as $$ select current_setting('bench.' || name)::int $$;
create or replace function pg_temp.person(kind int, n int) returns uuid language sql immutable
as $$ select ('00000000-0000-4000-800' || kind || '-' || lpad(to_hex(n), 12, '0'))::uuid $$;
create or replace function pg_temp.subject(n int) returns uuid language sql immutable
as $$ select ('00000000-0000-4000-8009-' || lpad(to_hex(n), 12, '0'))::uuid $$;
-- most rows belong to few students: the cube pulls towards 1
create or replace function pg_temp.some_student(r double precision) returns uuid language sql stable
as $$ select pg_temp.person(1, 1 + floor(pg_temp.size('students') * r * r * r)::int) $$;
create or replace function pg_temp.some_time(r double precision) returns timestamptz language sql stable
as $$ select timestamptz '2026-01-05' + r * interval '300 days' $$;

insert into auth.users (id, email, raw_app_meta_data, raw_user_meta_data, created_at, updated_at)
select pg_temp.person(k.kind, n), format('%s-%s@example.test', k.role, n), jsonb_build_object('role', k.role), '{}', now(), now()
from (values (1, 'student', 'students'), (2, 'tutor', 'tutors'), (3, 'parent', 'parents'), (4, 'admin', 'admins')) as k (kind, role, many),
    generate_series(1, pg_temp.size(k.many)) as n;
insert into public.profiles (user_id, role, display_name)
select id, (raw_app_meta_data ->> 'role')::public.user_role, split_part(email, '@', 1) from auth.users;

insert into public.subjects (id, name) select pg_temp.subject(n), 'Subject ' || n from generate_series(1, 10) as n;

-- tutor 1 has many students in all subjects; of the others, each second one teaches one subject only
insert into public.tutor_student_assignments (tutor_id, student_id, subject_id)
select pg_temp.person(2, 1), pg_temp.person(1, n), null
from generate_series(4, pg_temp.size('students'), pg_temp.size('students') / pg_temp.size('head_tutor_students')) as n;
insert into public.tutor_student_assignments (tutor_id, student_id, subject_id)
select
    pg_temp.person(2, t), pg_temp.person(1, 1 + (t * 20 + k * 7) % pg_temp.size('students')),
    case when t % 2 = 1 then pg_temp.subject(1 + t % 10) end
from generate_series(2, pg_temp.size('tutors')) as t, generate_series(1, 40) as k
on conflict do nothing;
insert into public.guardianships (parent_id, student_id, status, consent_basis, consented_at)
select pg_temp.person(3, n), pg_temp.person(1, n), 'active', 'student_consent', now()
from generate_series(1, pg_temp.size('parents')) as n;

insert into public.tutoring_sessions (student_id, tutor_id, session_date, duration_minutes, subject_id)
select
    pg_temp.some_student(random()), pg_temp.person(2, 1 + floor(random() * pg_temp.size('tutors'))::int),
    pg_temp.some_time(random()), 45, pg_temp.subject(1 + floor(random() * 10)::int)
from generate_series(1, pg_temp.size('rows'));
insert into public.summaries (session_id, student_id, tutor_id, subject_id, narrative, summary_type, created_at)
select id, student_id, tutor_id, subject_id, 'What we did: ' || repeat('fractions ', 10), 'normal', session_date
from public.tutoring_sessions limit pg_temp.size('rows') / 4;
insert into public.qa_interactions (student_id, query, answer, confidence, created_at, escalated_to_tutor_id)
select
    pg_temp.some_student(random()), 'How does it work?', repeat('Because. ', 10),
    (array['High', 'High', 'Medium', 'Low'])[1 + floor(random() * 4)::int]::public.qa_confidence, pg_temp.some_time(random()),
    case when random() < 0.01 then pg_temp.person(2, 1 + floor(random() * pg_temp.size('tutors'))::int) end
from generate_series(1, pg_temp.size('rows'));
insert into public.practice_bank_items (id, question_text, subject_id, difficulty_level, elo_rating, created_by)
select gen_random_uuid(), 'Question ' || n, pg_temp.subject(1 + n % 10), 1 + n % 10, 1000, pg_temp.person(2, 1 + n % pg_temp.size('tutors'))
from generate_series(1, 1000) as n;
insert into public.practice_assignments (
    student_id, source, ai_question_text, flagged, subject_id, difficulty_level, completed,
    completed_at, performance_score, assigned_at
)
select
    pg_temp.some_student(random()), 'ai_generated', 'Solve it.', random() < 0.05, pg_temp.subject(1 + floor(random() * 10)::int),
    5, d.done, case when d.done then now() end, case when d.done then 0.8 end, pg_temp.some_time(random())
from generate_series(1, pg_temp.size('rows') / 2) as n, lateral (select random() < 0.7 and n > 0 as done) as d;
insert into public.goals (student_id, created_by, subject_id, title, status)
select
    pg_temp.person(1, 1 + n % pg_temp.size('students')), null,
    case when n % 4 > 0 then pg_temp.subject(1 + floor(random() * 10)::int) end, 'Goal ' || n,
    (array['active', 'active', 'paused'])[1 + floor(random() * 3)::int]::public.goal_status
from generate_series(1, pg_temp.size('students') * 3) as n;
insert into public.student_ratings (student_id, subject_id, rating)
select pg_temp.person(1, s), pg_temp.subject(k), 700 + floor(random() * 600)::int
from generate_series(1, pg_temp.size('students')) as s, generate_series(1, 3) as k;
insert into public.overrides (tutor_id, student_id, override_type, action, original_content, new_content, subject_id, created_at)
select
    pg_temp.person(2, 1 + floor(random() * pg_temp.size('tutors'))::int), pg_temp.some_student(random()), 'qa_answer', 'edit', '{}', '{}',
    pg_temp.subject(1 + floor(random() * 10)::int), pg_temp.some_time(random())
from generate_series(1, pg_temp.size('rows') / 20);

insert into public.lms_connections (id, instance_domain, name) values (pg_temp.subject(99), 'canvas.bench.test', 'Bench');
insert into public.integrations (id, user_id, provider, lms_connection_id, instance_domain, status)
select pg_temp.person(5, n), pg_temp.person(1, n), 'canvas', pg_temp.subject(99), 'canvas.bench.test', 'connected'
from generate_series(1, pg_temp.size('students')) as n;
insert into public.courses (id, user_id, integration_id, canvas_course_id, canvas_id, name)
select pg_temp.person(6, n * 5 + k), pg_temp.person(1, n), pg_temp.person(5, n), n * 5 + k, n * 5 + k, 'Course ' || k
from generate_series(1, pg_temp.size('students')) as n, generate_series(0, 4) as k;
insert into public.assignments (user_id, course_id, canvas_assignment_id, canvas_id, title, due_at, status)
select
    pg_temp.person(1, s.n), pg_temp.person(6, s.n * 5 + i % 5), i, i, 'Assignment ' || i, pg_temp.some_time(random()),
    (array['open', 'submitted', 'graded'])[1 + floor(random() * 3)::int]::public.assignment_status
from generate_series(1, pg_temp.size('rows')) as i,
    lateral (select 1 + floor(pg_temp.size('students') * power(random(), 3) + i * 0)::int as n) as s;

set session_replication_role = origin;
