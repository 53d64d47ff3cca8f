-- A small living school for development and tests: every screen has something to show, every kind of person can sign
-- in.
--
-- Everybody signs in with the password  headstart-dev  and one of these addresses:
--     student@headstart.test        a student in the middle of it all
--     other-student@headstart.test  a student who has nothing to do with the people below
--     tutor-all@headstart.test      tutors the student in every subject, and six more students
--     tutor-one@headstart.test      tutors the student in mathematics only
--     tutor-paused@headstart.test   was the student's tutor, paused
--     parent@headstart.test         parent of the student, with consent
--     parent-revoked@headstart.test parent whose consent was revoked
--     teacher@headstart.test        teacher; other-teacher@headstart.test is another one of the same school
--     admin@headstart.test          staff
--     student-3@headstart.test ... student-8@headstart.test
--
-- Never load it where real people are. Ids are fixed, dates are relative to the day of loading, and loading twice
-- changes nothing: rows enter in the state they are born in, and each step of their life is taken only from the state
-- before it. Ids read room, table, serial: pg_temp.id(800501) is 00000000-0000-4000-8000-000000800501.
-- policies/access_matrix.txt refers to these rows as #800501.

create or replace function pg_temp.id(p_number int)
returns uuid
language sql
immutable
as $$ select ('00000000-0000-4000-8000-' || lpad(p_number::text, 12, '0'))::uuid $$;

-- ---------------------------------------------------------------------------------------------------------------------
-- 10 identity: accounts as Auth writes them (its tokens are empty strings, never null), profiles by trigger

insert into auth.users (
    instance_id, id, aud, role, email, encrypted_password, email_confirmed_at, confirmation_token, recovery_token,
    email_change_token_new, email_change, email_change_token_current, reauthentication_token, phone_change,
    phone_change_token, raw_app_meta_data, raw_user_meta_data, created_at, updated_at
)
select
    '00000000-0000-0000-0000-000000000000', pg_temp.id(number), 'authenticated', 'authenticated',
    mailbox || '@headstart.test',
    -- bcrypt of headstart-dev
    '$2b$10$RmYoUsJkleIArSKWpXO3ge8WMz0GEIt.lARGimbS4bo67sW5XMBkC',
    now(), '', '', '', '', '', '', '', '',
    jsonb_build_object('provider', 'email', 'providers', jsonb_build_array('email'), 'role', role),
    jsonb_build_object('email_verified', true), now(), now()
from (
    values
    (100001, 'student', 'student'),
    (100002, 'other-student', 'student'),
    (100003, 'tutor-all', 'tutor'),
    (100004, 'tutor-one', 'tutor'),
    (100005, 'tutor-paused', 'tutor'),
    (100006, 'parent', 'parent'),
    (100007, 'parent-revoked', 'parent'),
    (100008, 'teacher', 'teacher'),
    (100009, 'other-teacher', 'teacher'),
    (100010, 'admin', 'admin'),
    (100023, 'student-3', 'student'),
    (100024, 'student-4', 'student'),
    (100025, 'student-5', 'student'),
    (100026, 'student-6', 'student'),
    (100027, 'student-7', 'student'),
    (100028, 'student-8', 'student')
) as people (number, mailbox, role)
on conflict do nothing;

insert into auth.identities (provider_id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at)
select
    id::text, id,
    jsonb_build_object('sub', id::text, 'email', email, 'email_verified', true, 'phone_verified', false),
    'email', now(), now(), now()
from auth.users
where email like '%@headstart.test'
on conflict do nothing;

update public.profiles as p
set display_name = people.name, timezone = people.timezone
from (
    values
    (100001, 'Student', 'America/New_York'),
    (100002, 'Other student', 'Europe/Berlin'),
    (100003, 'Tutor, all subjects', 'America/New_York'),
    (100004, 'Tutor, mathematics', 'America/New_York'),
    (100005, 'Tutor, paused', 'America/New_York'),
    (100006, 'Parent', 'America/New_York'),
    (100007, 'Parent without consent', 'America/New_York'),
    (100008, 'Teacher', 'America/New_York'),
    (100009, 'Other teacher', 'America/New_York'),
    (100010, 'Administrator', 'UTC'),
    (100023, 'Student 3', 'America/New_York'),
    (100024, 'Student 4', 'America/New_York'),
    (100025, 'Student 5', 'America/Chicago'),
    (100026, 'Student 6', 'America/Chicago'),
    (100027, 'Student 7', 'America/Los_Angeles'),
    (100028, 'Student 8', 'America/Los_Angeles')
) as people (number, name, timezone)
where p.user_id = pg_temp.id(people.number) and p.display_name is null;

update public.user_settings
set
    preferences = '{"theme": "light", "first_day_of_week": "monday"}',
    learning_preferences = '{"pace": "steady", "session_minutes": 45}',
    learning_style = 'visual',
    nudge_frequency_cap = 2,
    disclaimer_shown = true
where user_id = pg_temp.id(100001) and preferences = '{}';

update public.user_stats set last_active = now() - interval '20 minutes'
where user_id = pg_temp.id(100001) and last_active is null;

insert into public.guardianships (id, parent_id, student_id, relationship)
values
(pg_temp.id(100101), pg_temp.id(100006), pg_temp.id(100001), 'mother'),
(pg_temp.id(100102), pg_temp.id(100007), pg_temp.id(100001), 'uncle'),
(pg_temp.id(100103), pg_temp.id(100006), pg_temp.id(100002), 'neighbour')
on conflict do nothing;

update public.guardianships
set
    status = 'active', consent_basis = 'student_consent', consented_by = student_id,
    consented_at = now() - interval '30 days'
where id in (pg_temp.id(100101), pg_temp.id(100102)) and status = 'pending';

update public.guardianships set status = 'revoked'
where id = pg_temp.id(100102) and status = 'active';

-- ---------------------------------------------------------------------------------------------------------------------
-- 20 canvas

insert into public.lms_connections (id, provider, instance_domain, name, oauth_client_id)
values
(pg_temp.id(200101), 'canvas', 'canvas.headstart.test', 'Headstart school', '10000000000001'),
(pg_temp.id(200102), 'canvas', 'old-canvas.headstart.test', 'Headstart school, old installation', '10000000000002')
on conflict do nothing;

update public.lms_connections set status = 'disabled'
where id = pg_temp.id(200102) and status = 'active';

insert into public.lms_connections (id, provider, instance_domain, name, status, settings, proposed_by)
values (
    pg_temp.id(200103), 'canvas', 'other-canvas.headstart.test', 'Another school', 'pending',
    '{"allow_personal_tokens": true}', pg_temp.id(100001)
)
on conflict do nothing;

insert into public.integrations (
    id, user_id, provider, lms_connection_id, instance_domain, external_user_id, status, scopes
)
values
(
    pg_temp.id(200201), pg_temp.id(100001), 'canvas', pg_temp.id(200101), 'canvas.headstart.test', '5001', 'connected',
    '{url:GET|/api/v1/courses,url:GET|/api/v1/courses/:course_id/assignments}'
),
(
    pg_temp.id(200202), pg_temp.id(100002), 'canvas', pg_temp.id(200101), 'canvas.headstart.test', '5002', 'connected',
    '{url:GET|/api/v1/courses,url:GET|/api/v1/courses/:course_id/assignments}'
),
(
    pg_temp.id(200203), pg_temp.id(100008), 'canvas', pg_temp.id(200101), 'canvas.headstart.test', '6001', 'connected',
    '{url:GET|/api/v1/courses}'
),
(pg_temp.id(200204), pg_temp.id(100001), 'google_calendar', null, '', null, 'pending', '{}')
on conflict do nothing;

insert into public.courses (
    id, user_id, integration_id, canvas_course_id, name, course_code, term, workflow_state, time_zone
)
values
(
    pg_temp.id(200301), pg_temp.id(100001), pg_temp.id(200201), 7001, 'Calculus I', 'MATH 101', 'This term', 'available',
    'America/New_York'
),
(
    pg_temp.id(200302), pg_temp.id(100001), pg_temp.id(200201), 7002, 'Mechanics', 'PHYS 201', 'This term', 'available',
    'America/New_York'
),
(
    pg_temp.id(200303), pg_temp.id(100001), pg_temp.id(200201), 7003, 'World History', 'HIST 110', 'Last term',
    'completed', 'America/New_York'
),
(
    pg_temp.id(200311), pg_temp.id(100002), pg_temp.id(200202), 7001, 'Calculus I', 'MATH 101', 'This term', 'available',
    'America/New_York'
)
on conflict do nothing;

insert into public.assignments (
    id, user_id, course_id, canvas_assignment_id, title, description_html, due_at, points_possible, submission_types,
    position, canvas_url, published_at, status, submission, last_synced_at
)
values
(
    pg_temp.id(200401), pg_temp.id(100001), pg_temp.id(200301), 8001, 'Limits and continuity',
    '<p>Solve problems 1 to 12 of chapter 2. Show every step.</p>', now() + interval '3 days', 20, '{online_upload}', 1,
    'https://canvas.headstart.test/courses/7001/assignments/8001', now() - interval '4 days', 'open',
    '{"workflow_state": "unsubmitted", "late": false, "missing": false}', now() - interval '10 minutes'
),
(
    pg_temp.id(200402), pg_temp.id(100001), pg_temp.id(200301), 8002, 'Derivatives, part one',
    '<p>Differentiate the functions on the sheet.</p>', now() + interval '9 days', 20, '{online_upload}', 2,
    'https://canvas.headstart.test/courses/7001/assignments/8002', now() - interval '1 day', 'open',
    '{"workflow_state": "unsubmitted", "late": false, "missing": false}', now() - interval '10 minutes'
),
(
    pg_temp.id(200403), pg_temp.id(100001), pg_temp.id(200302), 8003, 'Lab report: the pendulum',
    '<p>Two pages with a diagram and an estimate of the error.</p>', now() + interval '6 days', 50,
    '{online_text_entry,online_upload}', 1, 'https://canvas.headstart.test/courses/7002/assignments/8003',
    now() - interval '6 days', 'open', '{"workflow_state": "unsubmitted", "late": false, "missing": false}',
    now() - interval '10 minutes'
),
(
    pg_temp.id(200404), pg_temp.id(100001), pg_temp.id(200302), 8004, 'Newton''s laws', '<p>Worksheet.</p>',
    now() - interval '2 days', 10, '{online_upload}', 2, 'https://canvas.headstart.test/courses/7002/assignments/8004',
    now() - interval '12 days', 'submitted', '{"workflow_state": "submitted", "late": false, "missing": false}',
    now() - interval '10 minutes'
),
(
    pg_temp.id(200405), pg_temp.id(100001), pg_temp.id(200303), 8005, 'Essay: trade routes', '<p>Five pages.</p>',
    now() - interval '40 days', 100, '{online_upload}', 1, 'https://canvas.headstart.test/courses/7003/assignments/8005',
    now() - interval '60 days', 'graded', '{"workflow_state": "graded", "score": 91, "late": false, "missing": false}',
    now() - interval '10 minutes'
),
(
    pg_temp.id(200411), pg_temp.id(100002), pg_temp.id(200311), 8001, 'Limits and continuity',
    '<p>Solve problems 1 to 12 of chapter 2. Show every step.</p>', now() + interval '3 days', 20, '{online_upload}', 1,
    'https://canvas.headstart.test/courses/7001/assignments/8001', now() - interval '4 days', 'open',
    '{"workflow_state": "unsubmitted", "late": false, "missing": false}', now() - interval '10 minutes'
)
on conflict do nothing;

insert into public.course_sync_state (id, user_id, course_id, last_polled_at)
values
(pg_temp.id(200501), pg_temp.id(100001), pg_temp.id(200301), now() - interval '10 minutes'),
(pg_temp.id(200502), pg_temp.id(100001), pg_temp.id(200302), now() - interval '10 minutes'),
(pg_temp.id(200511), pg_temp.id(100002), pg_temp.id(200311), now() - interval '10 minutes')
on conflict do nothing;

-- ---------------------------------------------------------------------------------------------------------------------
-- 30 headstart

insert into public.headstart_runs (
    id, user_id, assignment_id, trigger, model, prompt_version, assignment_hash, metrics, created_at
)
values
(
    pg_temp.id(300101), pg_temp.id(100001), pg_temp.id(200401), 'manual', 'standin-scripted', 'headstart-1', 'seed',
    '{"attempts": 1, "input_tokens": 812, "output_tokens": 640}', now() - interval '1 hour'
),
(
    pg_temp.id(300102), pg_temp.id(100001), pg_temp.id(200403), 'manual', 'standin-scripted', 'headstart-1', 'seed', '{}',
    now() - interval '2 hours'
),
(
    pg_temp.id(300111), pg_temp.id(100002), pg_temp.id(200411), 'manual', 'standin-scripted', 'headstart-1', 'seed', '{}',
    now() - interval '3 hours'
)
on conflict do nothing;

update public.headstart_runs set status = 'running'
where id in (pg_temp.id(300101), pg_temp.id(300102), pg_temp.id(300111)) and status = 'queued';
update public.headstart_runs set status = 'succeeded'
where id in (pg_temp.id(300101), pg_temp.id(300111)) and status = 'running';
update public.headstart_runs set status = 'failed', error = 'The model took too long to answer.'
where id = pg_temp.id(300102) and status = 'running';

insert into public.headstart_docs (id, user_id, assignment_id, run_id, status, title, summary, content_md, content_html)
values
(
    pg_temp.id(300201), pg_temp.id(100001), pg_temp.id(200401), pg_temp.id(300101), 'ready',
    'Headstart: Limits and continuity', 'Begin with the definition, then try one easy limit by table.',
    E'## Where to begin\n\n1. Read the definition of a limit.\n2. Fill a table for problem 1.\n',
    '<h2>Where to begin</h2><ol><li>Read the definition of a limit.</li><li>Fill a table for problem 1.</li></ol>'
),
(
    pg_temp.id(300211), pg_temp.id(100002), pg_temp.id(200411), pg_temp.id(300111), 'ready',
    'Headstart: Limits and continuity', 'Begin with the definition.', E'## Where to begin\n\nRead the definition.\n',
    '<h2>Where to begin</h2><p>Read the definition.</p>'
)
on conflict do nothing;

-- ---------------------------------------------------------------------------------------------------------------------
-- 40 planner

insert into public.planner_settings (user_id, working_hours, block_minutes)
values
(
    pg_temp.id(100001),
    '[{"weekday": 1, "start": "16:00", "end": "20:00"}, {"weekday": 3, "start": "16:00", "end": "20:00"},
      {"weekday": 6, "start": "10:00", "end": "13:00"}]',
    45
),
(pg_temp.id(100002), '[]', 50)
on conflict do nothing;

insert into public.assignment_efforts (assignment_id, user_id, effort_minutes, priority)
values
(pg_temp.id(200402), pg_temp.id(100001), 120, 1),
(pg_temp.id(200411), pg_temp.id(100002), 60, 0)
on conflict do nothing;

insert into public.study_blocks (id, user_id, assignment_id, start_at, end_at, notes)
values
(
    pg_temp.id(400101), pg_temp.id(100001), pg_temp.id(200401), date_trunc('hour', now()) + interval '1 day',
    date_trunc('hour', now()) + interval '25 hours', 'Problems 1 to 6'
),
(
    pg_temp.id(400102), pg_temp.id(100001), pg_temp.id(200401), date_trunc('hour', now()) - interval '1 day',
    date_trunc('hour', now()) - interval '23 hours', 'Read chapter 2'
),
(
    pg_temp.id(400103), pg_temp.id(100001), pg_temp.id(200403), date_trunc('hour', now()) - interval '2 days',
    date_trunc('hour', now()) - interval '46 hours', 'Measure the pendulum'
),
(
    pg_temp.id(400104), pg_temp.id(100001), null, date_trunc('hour', now()) + interval '3 days',
    date_trunc('hour', now()) + interval '74 hours', 'Go through the week'
),
(
    pg_temp.id(400111), pg_temp.id(100002), pg_temp.id(200411), date_trunc('hour', now()) + interval '1 day',
    date_trunc('hour', now()) + interval '25 hours', null
)
on conflict do nothing;

update public.study_blocks set status = 'completed' where id = pg_temp.id(400102) and status = 'planned';
update public.study_blocks set status = 'missed' where id = pg_temp.id(400103) and status = 'planned';

insert into public.nudges (id, user_id, type, channel, message, sent_at, opened_at, trigger_reason, created_at)
values
(
    pg_temp.id(400301), pg_temp.id(100001), 'inactivity', 'in_app', 'Two days without mathematics: five minutes?',
    now() - interval '1 day', null, 'no session for 2 days', now() - interval '1 day'
),
(
    pg_temp.id(400302), pg_temp.id(100001), 'cross_subject', 'in_app', 'You are ready to try mechanics.',
    now() - interval '4 days', now() - interval '3 days', 'rating above 1000', now() - interval '4 days'
),
(
    pg_temp.id(400311), pg_temp.id(100002), 'login', 'in_app', 'Welcome back.', now() - interval '1 day', null, 'login',
    now() - interval '1 day'
)
on conflict do nothing;

insert into public.notifications (id, user_id, nudge_id, type, status, title, body, payload, sent_at, created_at)
values
(
    pg_temp.id(400201), pg_temp.id(100001), null, 'headstart_ready', 'sent', 'Your headstart is ready',
    'Limits and continuity', jsonb_build_object('assignment_id', pg_temp.id(200401)), now() - interval '50 minutes',
    now() - interval '50 minutes'
),
(
    pg_temp.id(400202), pg_temp.id(100001), null, 'assignment_due', 'pending', 'Due in three days',
    'Limits and continuity', jsonb_build_object('assignment_id', pg_temp.id(200401)), null, now() - interval '5 minutes'
),
(
    pg_temp.id(400203), pg_temp.id(100001), pg_temp.id(400301), 'nudge', 'sent', 'A short one?',
    'Two days without mathematics: five minutes?', '{}', now() - interval '1 day', now() - interval '1 day'
),
(
    pg_temp.id(400204), pg_temp.id(100001), null, 'lecture_ready', 'sent', 'A lecture is ready', 'Lecture 1: limits',
    jsonb_build_object('lecture_id', pg_temp.id(500201)), now() - interval '3 days', now() - interval '3 days'
),
(
    pg_temp.id(400211), pg_temp.id(100002), null, 'system', 'sent', 'Welcome', null, '{}', now() - interval '1 day',
    now() - interval '1 day'
)
on conflict do nothing;

update public.notifications set status = 'dismissed' where id = pg_temp.id(400204) and status = 'sent';

-- ---------------------------------------------------------------------------------------------------------------------
-- 50 lectures

insert into public.catalog_courses (id, code, title, instructor, is_official, created_by)
values
(pg_temp.id(500101), 'MATH 101', 'Calculus I', 'Department of Mathematics', true, null),
(pg_temp.id(500102), 'CHESS 10', 'Chess club', null, false, pg_temp.id(100001)),
(pg_temp.id(500103), 'PHYS 201', 'Mechanics', 'Department of Physics', true, null),
(pg_temp.id(500104), 'HIST 110', 'World History', 'Department of History', true, null)
on conflict do nothing;

update public.courses as c set catalog_course_id = k.id
from public.catalog_courses as k
where
    k.code = c.course_code and c.catalog_course_id is null
    and c.id in (pg_temp.id(200301), pg_temp.id(200302), pg_temp.id(200303), pg_temp.id(200311));

insert into public.lectures (id, catalog_course_id, panopto_host, panopto_session_id, panopto_url, stream_url, title)
values
(
    pg_temp.id(500201), pg_temp.id(500101), 'panopto.headstart.test', 'seed-lecture-1', 'https://panopto.headstart.test/viewer?id=seed-lecture-1',
    'https://panopto.headstart.test/stream/seed-lecture-1.mp4', 'Lecture 1: limits'
),
(
    pg_temp.id(500202), pg_temp.id(500101), 'panopto.headstart.test', 'seed-lecture-2', 'https://panopto.headstart.test/viewer?id=seed-lecture-2',
    'https://panopto.headstart.test/stream/seed-lecture-2.mp4', 'Lecture 2: derivatives'
),
(
    pg_temp.id(500211), pg_temp.id(500103), 'panopto.headstart.test', 'seed-lecture-3', 'https://panopto.headstart.test/viewer?id=seed-lecture-3',
    'https://panopto.headstart.test/stream/seed-lecture-3.mp4', 'Lecture 1: forces'
)
on conflict do nothing;

insert into public.user_lectures (user_id, lecture_id)
values
(pg_temp.id(100001), pg_temp.id(500201)),
(pg_temp.id(100001), pg_temp.id(500202)),
(pg_temp.id(100002), pg_temp.id(500211))
on conflict do nothing;

update public.lectures set status = 'downloading'
where id in (pg_temp.id(500201), pg_temp.id(500202), pg_temp.id(500211)) and status = 'pending';
update public.lectures
set
    status = 'completed', duration_seconds = 2940, audio_storage_key = 'audio/' || id || '.m4a',
    transcript_storage_key = 'transcripts/' || id || '.json'
where id in (pg_temp.id(500201), pg_temp.id(500211)) and status = 'downloading';
update public.lectures set status = 'failed', error_message = 'Panopto did not let us download this recording.'
where id = pg_temp.id(500202) and status = 'downloading';

insert into public.documents (
    id, owner_id, catalog_course_id, filename, storage_key, checksum, mime_type, size_bytes, page_count, description
)
values
(
    pg_temp.id(500401), pg_temp.id(100001), pg_temp.id(500101), 'formula-sheet.pdf',
    'documents/' || pg_temp.id(500401) || '.pdf', repeat('a1', 32), 'application/pdf', 48213, 2, 'Formula sheet'
),
(
    pg_temp.id(500402), pg_temp.id(100001), pg_temp.id(500103), 'pendulum-notes.pdf',
    'documents/' || pg_temp.id(500402) || '.pdf', repeat('a2', 32), 'application/pdf', 91842, 5, null
),
(
    pg_temp.id(500411), pg_temp.id(100002), pg_temp.id(500101), 'summary.pdf',
    'documents/' || pg_temp.id(500411) || '.pdf', repeat('b1', 32), 'application/pdf', 30411, 1, null
)
on conflict do nothing;

-- ---------------------------------------------------------------------------------------------------------------------
-- 60 assistant

insert into public.teachers (id, lms_connection_id, canvas_user_id, name, email)
values
(pg_temp.id(100008), pg_temp.id(200101), '6001', 'Teacher', 'teacher@headstart.test'),
(pg_temp.id(100009), pg_temp.id(200101), '6002', 'Other teacher', 'other-teacher@headstart.test')
on conflict do nothing;

insert into public.threads (id, teacher_id, title)
values
(pg_temp.id(600201), pg_temp.id(100008), 'A lesson on limits'),
(pg_temp.id(600202), pg_temp.id(100008), 'Ideas for the pendulum'),
(pg_temp.id(600211), pg_temp.id(100009), 'Quiz for Friday')
on conflict do nothing;

insert into public.messages (id, thread_id, role, content, external_id, parent_id, model, prompt_version)
values
(
    pg_temp.id(600301), pg_temp.id(600201), 'user', 'Plan a 45 minute lesson that introduces limits.', 'seed-1', null,
    null, null
),
(
    pg_temp.id(600302), pg_temp.id(600201), 'assistant',
    E'**Opening (10 min)**: a table of values.\n\n**Core (25 min)**: three limits by graph.\n\n**Close (10 min)**: one exit '
    'question.', null, pg_temp.id(600301), 'standin-scripted', 'chat-1'
),
(pg_temp.id(600303), pg_temp.id(600202), 'user', 'How do I make the error estimate clear?', 'seed-2', null, null, null),
(
    pg_temp.id(600311), pg_temp.id(600211), 'user', 'Write five questions about forces.', 'seed-3', null, null, null
)
on conflict do nothing;

insert into public.courses_cache (id, teacher_id, canvas_course_id, course_data)
values
(pg_temp.id(600401), pg_temp.id(100008), 7001, '{"name": "Calculus I", "course_code": "MATH 101"}'),
(pg_temp.id(600411), pg_temp.id(100009), 7002, '{"name": "Mechanics", "course_code": "PHYS 201"}')
on conflict do nothing;

insert into public.classes (id, teacher_id, canvas_course_id, catalog_course_id, name, section, term)
values
(pg_temp.id(600501), pg_temp.id(100008), 7001, pg_temp.id(500101), 'Calculus I, morning', 'A', 'This term'),
(pg_temp.id(600502), pg_temp.id(100008), null, null, 'Homework club', null, 'This term'),
(pg_temp.id(600511), pg_temp.id(100009), 7002, pg_temp.id(500103), 'Mechanics', 'A', 'This term')
on conflict do nothing;

insert into public.content_sources (id, teacher_id, class_id, kind, title, source_url, text_content)
values
(
    pg_temp.id(600601), pg_temp.id(100008), pg_temp.id(600501), 'text', 'Notes on limits', null,
    'A limit says where a function is heading, whether or not it arrives.'
),
(
    pg_temp.id(600602), pg_temp.id(100008), pg_temp.id(600501), 'url', 'A page about derivatives',
    'https://example.test/derivatives', null
),
(
    pg_temp.id(600611), pg_temp.id(100009), pg_temp.id(600511), 'text', 'Notes on forces', null,
    'A force changes motion.'
)
on conflict do nothing;

update public.content_sources set status = 'processing'
where id in (pg_temp.id(600601), pg_temp.id(600611)) and status = 'pending';
update public.content_sources set status = 'ready'
where id in (pg_temp.id(600601), pg_temp.id(600611)) and status = 'processing';

insert into public.generated_content (
    id, teacher_id, class_id, content_source_id, thread_id, kind, title, content_md, model, prompt_version
)
values
(
    pg_temp.id(600701), pg_temp.id(100008), pg_temp.id(600501), pg_temp.id(600601), pg_temp.id(600201), 'lesson_plan',
    'Limits in 45 minutes', E'# Limits in 45 minutes\n\nOpening, core, close.\n', 'standin-scripted', 'content-1'
),
(
    pg_temp.id(600702), pg_temp.id(100008), pg_temp.id(600501), null, null, 'quiz', 'Five questions on limits',
    E'1. What is a limit?\n', 'standin-scripted', 'content-1'
),
(
    pg_temp.id(600711), pg_temp.id(100009), pg_temp.id(600511), pg_temp.id(600611), null, 'worksheet', 'Forces',
    E'# Forces\n', 'standin-scripted', 'content-1'
)
on conflict do nothing;

update public.generated_content set status = 'approved' where id = pg_temp.id(600702) and status = 'draft';

-- ---------------------------------------------------------------------------------------------------------------------
-- 70 programme

insert into public.weeks (
    id, user_id, week_number, start_date, end_date, status, focus_area, estimated_hours, actual_hours,
    completion_percentage
)
select
    pg_temp.id(number), pg_temp.id(owner), week, monday + (week - 2) * 7, monday + (week - 2) * 7 + 6,
    status::public.week_status, focus, 8, hours, percentage
from (
    values
    (700101, 100001, 2, 'active', 'A page that lists courses', 3, 40),
    (700102, 100001, 3, 'planned', 'Tests', null, 0),
    (700103, 100001, 1, 'active', 'First commit', 9, 100),
    (700111, 100002, 2, 'active', 'A page that lists courses', 1, 10)
) as weeks (number, owner, week, status, focus, hours, percentage)
cross join (select date_trunc('week', now() at time zone 'UTC')::date as monday) as calendar
on conflict do nothing;

update public.weeks set status = 'completed' where id = pg_temp.id(700103) and status = 'active';

insert into public.clo_notes (id, week_id, module_title, learning_objectives, key_concepts, estimated_duration)
values
(
    pg_temp.id(700201), pg_temp.id(700101), 'Lists and data', '{"Fetch data","Show it in a list"}', '{query,"empty state"}',
    240
),
(pg_temp.id(700211), pg_temp.id(700111), 'Lists and data', '{"Fetch data"}', '{query}', 240)
on conflict do nothing;

insert into public.engineer_notes (
    id, week_id, repository_url, analysis_summary, code_quality_score, recommendations, areas_for_improvement
)
values
(
    pg_temp.id(700301), pg_temp.id(700101), 'https://github.com/example/project', 'Small functions, few tests.', 72,
    '["Test the empty list"]', '{tests}'
),
(pg_temp.id(700311), pg_temp.id(700111), null, 'Nothing to read yet.', 0, '[]', '{}')
on conflict do nothing;

insert into public.socratic_sessions (id, week_id, user_id, topic, started_at, total_questions, insights_generated)
values
(pg_temp.id(700401), pg_temp.id(700101), pg_temp.id(100001), 'Why is an empty list a state?', now() - interval '1 hour', 2, '{}'),
(
    pg_temp.id(700402), pg_temp.id(700103), pg_temp.id(100001), 'What is a commit for?', now() - interval '8 days', 4,
    '{"A commit tells why"}'
),
(pg_temp.id(700411), pg_temp.id(700111), pg_temp.id(100002), 'What is a query?', now() - interval '1 hour', 1, '{}')
on conflict do nothing;

update public.socratic_sessions set ended_at = started_at + interval '40 minutes'
where id = pg_temp.id(700402) and ended_at is null;

insert into public.socratic_messages (id, session_id, role, content, occurred_at)
values
(
    pg_temp.id(700501), pg_temp.id(700401), 'assistant', 'What does a person see before the first course is there?',
    now() - interval '59 minutes'
),
(pg_temp.id(700502), pg_temp.id(700401), 'user', 'A blank page, which looks broken.', now() - interval '58 minutes'),
(
    pg_temp.id(700503), pg_temp.id(700402), 'assistant', 'Who will read your commit?', now() - interval '8 days'
),
(pg_temp.id(700511), pg_temp.id(700411), 'assistant', 'What do you ask the database for?', now() - interval '59 minutes')
on conflict do nothing;

insert into public.brand_packages (id, week_id, mode, content_themes, social_content_suggestions, brand_voice_analysis)
values
(
    pg_temp.id(700601), pg_temp.id(700101), 'calm', '{learning,craft}',
    '[{"channel": "blog", "text": "What an empty list taught me"}]', 'Plain and exact.'
),
(pg_temp.id(700611), pg_temp.id(700111), 'calm', '{learning}', '[]', null)
on conflict do nothing;

insert into public.kpi_metrics (
    id, week_id, user_id, metric_name, metric_category, current_value, target_value, previous_value, unit, recorded_at
)
values
(pg_temp.id(700701), pg_temp.id(700101), pg_temp.id(100001), 'commits', 'code', 14, 20, 9, 'commits', now() - interval '1 day'),
(pg_temp.id(700702), pg_temp.id(700101), pg_temp.id(100001), 'hours', 'effort', 3, 8, 9, 'hours', now() - interval '1 day'),
(pg_temp.id(700703), pg_temp.id(700103), pg_temp.id(100001), 'commits', 'code', 9, 10, null, 'commits', now() - interval '8 days'),
(pg_temp.id(700711), pg_temp.id(700111), pg_temp.id(100002), 'commits', 'code', 2, 10, null, 'commits', now() - interval '1 day')
on conflict do nothing;

insert into public.reviews (id, week_id, user_id, github_url, depth)
values
(pg_temp.id(700801), pg_temp.id(700101), pg_temp.id(100001), 'https://github.com/example/project', 'standard'),
(pg_temp.id(700802), null, pg_temp.id(100001), 'https://github.com/example/missing', 'quick'),
(pg_temp.id(700811), pg_temp.id(700111), pg_temp.id(100002), 'https://github.com/example/other', 'quick')
on conflict do nothing;

update public.reviews set status = 'running'
where id in (pg_temp.id(700801), pg_temp.id(700802), pg_temp.id(700811)) and status = 'pending';
update public.reviews
set status = 'completed', result_json = '{"score": 72, "findings": [{"file": "list.py", "note": "Test the empty list"}]}'
where id in (pg_temp.id(700801), pg_temp.id(700811)) and status = 'running';
update public.reviews set status = 'failed', error_message = 'This repository does not exist or is private.'
where id = pg_temp.id(700802) and status = 'running';

-- ---------------------------------------------------------------------------------------------------------------------
-- 80 tutoring

insert into public.subjects (id, name, category, description)
values
(pg_temp.id(800101), 'Mathematics', 'STEM', 'From fractions to calculus'),
(pg_temp.id(800102), 'Science', 'STEM', 'Physics, chemistry, biology'),
(pg_temp.id(800103), 'English', 'Languages', 'Reading and writing'),
(pg_temp.id(800104), 'Astronomy', 'STEM', 'Nobody has chosen it yet')
on conflict do nothing;

insert into public.related_subjects (subject_id, related_subject_id)
values
(pg_temp.id(800101), pg_temp.id(800102)),
(pg_temp.id(800102), pg_temp.id(800101)),
(pg_temp.id(800102), pg_temp.id(800103))
on conflict do nothing;

insert into public.student_subjects (student_id, subject_id)
values
(pg_temp.id(100001), pg_temp.id(800101)),
(pg_temp.id(100001), pg_temp.id(800102)),
(pg_temp.id(100002), pg_temp.id(800101))
on conflict do nothing;

insert into public.student_subjects (student_id, subject_id)
select pg_temp.id(number), pg_temp.id(subject)
from generate_series(100023, 100028) as number cross join generate_series(800101, 800103) as subject
on conflict do nothing;

insert into public.tutor_student_assignments (id, tutor_id, student_id, subject_id, status, start_date)
values
(pg_temp.id(800401), pg_temp.id(100003), pg_temp.id(100001), null, 'active', (now() at time zone 'UTC')::date - 60),
(
    pg_temp.id(800402), pg_temp.id(100004), pg_temp.id(100001), pg_temp.id(800101), 'active',
    (now() at time zone 'UTC')::date - 30
),
(pg_temp.id(800403), pg_temp.id(100005), pg_temp.id(100001), null, 'paused', (now() at time zone 'UTC')::date - 90)
on conflict do nothing;

insert into public.tutor_student_assignments (id, tutor_id, student_id, status, start_date)
select
    pg_temp.id(800411 + number - 100023), pg_temp.id(100003), pg_temp.id(number), 'active',
    (now() at time zone 'UTC')::date - 14
from generate_series(100023, 100028) as number
on conflict do nothing;

insert into public.goals (
    id, student_id, created_by, subject_id, goal_type, title, description, target_completion_date,
    completion_percentage, current_streak, xp_earned
)
values
(
    pg_temp.id(800501), pg_temp.id(100001), pg_temp.id(100001), pg_temp.id(800101), 'mastery', 'Limits without a table',
    'Solve ten limits by algebra', (now() at time zone 'UTC')::date + 30, 35, 4, 120
),
(
    pg_temp.id(800502), pg_temp.id(100001), pg_temp.id(100003), pg_temp.id(800102), 'mastery', 'Estimate an error',
    'Say how sure a measurement is', (now() at time zone 'UTC')::date + 21, 10, 1, 20
),
(
    pg_temp.id(800503), pg_temp.id(100001), pg_temp.id(100003), null, 'habit', 'Four sessions a week', null, null, 60, 6,
    240
),
(
    pg_temp.id(800504), pg_temp.id(100001), pg_temp.id(100001), pg_temp.id(800101), 'mastery', 'Long division', null, null,
    0, 0, 0
),
(
    pg_temp.id(800505), pg_temp.id(100001), pg_temp.id(100004), pg_temp.id(800101), 'mastery', 'Fractions', null, null,
    100, 0, 300
),
(
    pg_temp.id(800511), pg_temp.id(100002), pg_temp.id(100002), pg_temp.id(800101), 'mastery', 'Pass the exam', null,
    (now() at time zone 'UTC')::date + 60, 5, 0, 10
)
on conflict do nothing;

update public.goals set status = 'cancelled' where id = pg_temp.id(800504) and status = 'active';
update public.goals set status = 'completed' where id = pg_temp.id(800505) and status = 'active';

insert into public.goals (id, student_id, created_by, subject_id, goal_type, title, completion_percentage)
select
    pg_temp.id(800521 + number - 100023), pg_temp.id(number), pg_temp.id(100003), pg_temp.id(800101), 'mastery',
    'Ten limits', (number - 100022) * 10
from generate_series(100023, 100028) as number
on conflict do nothing;

insert into public.tutoring_sessions (
    id, student_id, tutor_id, session_date, duration_minutes, subject_id, topics_covered
)
values
(
    pg_temp.id(800601), pg_temp.id(100001), pg_temp.id(100004), now() - interval '2 days', 50, pg_temp.id(800101),
    '{limits,continuity}'
),
(
    pg_temp.id(800602), pg_temp.id(100001), pg_temp.id(100003), now() - interval '4 days', 45, pg_temp.id(800102),
    '{pendulum}'
),
(
    pg_temp.id(800603), pg_temp.id(100001), pg_temp.id(100003), now() - interval '6 days', 30, null, '{planning}'
),
(
    pg_temp.id(800604), pg_temp.id(100001), pg_temp.id(100005), now() - interval '70 days', 60, pg_temp.id(800101),
    '{fractions}'
),
(
    pg_temp.id(800605), pg_temp.id(100001), pg_temp.id(100003), now() + interval '2 days', 50, pg_temp.id(800101),
    '{derivatives}'
),
(
    pg_temp.id(800611), pg_temp.id(100002), pg_temp.id(100005), now() - interval '40 days', 60, pg_temp.id(800101),
    '{fractions}'
)
on conflict do nothing;

insert into public.tutoring_sessions (id, student_id, tutor_id, session_date, duration_minutes, subject_id)
select
    pg_temp.id(800621 + number - 100023), pg_temp.id(number), pg_temp.id(100003),
    now() - (number - 100022) * interval '1 day', 45, pg_temp.id(800101)
from generate_series(100023, 100028) as number
on conflict do nothing;

insert into public.summaries (id, session_id, student_id, narrative, next_steps, subjects_covered, summary_type)
values
(
    pg_temp.id(800701), pg_temp.id(800601), pg_temp.id(100001),
    'We found three limits from graphs and two by algebra. Signs are still a trap.',
    '{"Problems 7 to 9","Watch the signs"}', '{Mathematics}', 'normal'
),
(
    pg_temp.id(800702), pg_temp.id(800602), pg_temp.id(100001), 'The period was measured with five swings.',
    '{"Estimate the error"}', '{Science}', 'normal'
),
(
    pg_temp.id(800703), pg_temp.id(800603), pg_temp.id(100001), 'A plan for the week.', '{}', '{}', 'brief'
),
(
    pg_temp.id(800704), pg_temp.id(800604), pg_temp.id(100001), 'No transcript was recorded.', '{}', '{Mathematics}',
    'missing_transcript'
),
(
    pg_temp.id(800711), pg_temp.id(800611), pg_temp.id(100002), 'Fractions, from the start.', '{}', '{Mathematics}',
    'normal'
)
on conflict do nothing;

insert into public.practice_bank_items (
    id, question_text, subject_id, difficulty_level, goal_tags, topic_tags, created_by
)
values
(
    pg_temp.id(800801), 'What is the limit of (x² - 1)/(x - 1) as x approaches 1?', pg_temp.id(800101), 4, '{mastery}',
    '{limits}', null
),
(
    pg_temp.id(800802), 'What is the limit of sin(x)/x as x approaches 0?', pg_temp.id(800101), 5, '{mastery}',
    '{limits}', null
),
(
    pg_temp.id(800803), 'How does the period change when the length is doubled?', pg_temp.id(800102), 5, '{mastery}',
    '{pendulum}', null
),
(
    pg_temp.id(800804), 'Simplify 6/8.', pg_temp.id(800101), 1, '{mastery}', '{fractions}', pg_temp.id(100004)
),
(
    pg_temp.id(800805), 'Simplify 9/12.', pg_temp.id(800101), 1, '{mastery}', '{fractions}', pg_temp.id(100004)
),
(
    pg_temp.id(800806), 'Simplify 10/15.', pg_temp.id(800101), 1, '{mastery}', '{fractions}', pg_temp.id(100004)
)
on conflict do nothing;

update public.practice_bank_items set is_active = false where id = pg_temp.id(800806) and is_active;

insert into public.practice_bank_answers (item_id, answer_text, explanation)
values
(pg_temp.id(800801), '2', 'Cancel x - 1.'),
(pg_temp.id(800802), '1', 'Squeeze it between cos(x) and 1.'),
(pg_temp.id(800803), 'It grows by the square root of two.', null),
(pg_temp.id(800804), '3/4', 'Divide both by two.')
on conflict do nothing;

insert into public.student_ratings (id, student_id, subject_id)
values
(pg_temp.id(801201), pg_temp.id(100001), pg_temp.id(800101)),
(pg_temp.id(801202), pg_temp.id(100001), pg_temp.id(800102)),
(pg_temp.id(801211), pg_temp.id(100002), pg_temp.id(800101))
on conflict do nothing;

insert into public.practice_assignments (id, student_id, bank_item_id, assigned_at)
values
(pg_temp.id(801001), pg_temp.id(100001), pg_temp.id(800801), now() - interval '3 days'),
(pg_temp.id(801002), pg_temp.id(100001), pg_temp.id(800802), now() - interval '1 day'),
(pg_temp.id(801011), pg_temp.id(100002), pg_temp.id(800801), now() - interval '1 day')
on conflict do nothing;

insert into public.practice_assignments (
    id, student_id, source, ai_question_text, subject_id, difficulty_level, goal_tags, assigned_at
)
values
(
    pg_temp.id(801003), pg_temp.id(100001), 'ai_generated', 'Why does the mass of the bob not matter?',
    pg_temp.id(800102), 4, '{mastery}', now() - interval '2 days'
),
(
    pg_temp.id(801004), pg_temp.id(100001), 'ai_generated', 'What is the limit of 1/x as x grows?', pg_temp.id(800101), 3,
    '{mastery}', now() - interval '4 days'
),
(
    pg_temp.id(801012), pg_temp.id(100002), 'ai_generated', 'What is 1/2 + 1/3?', pg_temp.id(800101), 2, '{mastery}',
    now() - interval '4 days'
)
on conflict do nothing;

insert into public.practice_assignment_answers (practice_assignment_id, ai_answer_text, ai_explanation)
values
(pg_temp.id(801003), 'It cancels out of the equation of motion.', null),
(pg_temp.id(801004), '0', 'The denominator grows without bound.'),
(pg_temp.id(801012), '5/6', null)
on conflict do nothing;

-- rates both sides, once: a completed one is returned as it is
select public.complete_practice_assignment(pg_temp.id(801001), 0.75);
select public.complete_practice_assignment(pg_temp.id(801004), 1);
select public.complete_practice_assignment(pg_temp.id(801012), 0.5);

insert into public.practice_attempts (
    id, student_id, practice_assignment_id, subject_id, bank_item_id, item_version, answer, raw_score, score, graded_by,
    idempotency_key, answered_at, recorded_at
)
values
(
    pg_temp.id(802001), pg_temp.id(100001), pg_temp.id(801001), pg_temp.id(800101), pg_temp.id(800801), 1, 'about 2',
    0.75, 0.75, 'model', 'seed-802001', now() - interval '2 days', now() - interval '2 days'
),
(
    pg_temp.id(802011), pg_temp.id(100002), pg_temp.id(801012), pg_temp.id(800101), null, null, '4/6', 0.5, 0.5, 'model',
    'seed-802011', now() - interval '3 days', now() - interval '3 days'
)
on conflict do nothing;

insert into public.practice_reviews (
    student_id, bank_item_id, subject_id, state, stability, difficulty, due_at, last_review_at, scheduler_version
)
values
(
    pg_temp.id(100001), pg_temp.id(800801), pg_temp.id(800101), 2, 2.3, 5, now() + interval '1 day',
    now() - interval '2 days', 'fsrs 6.3.2'
),
(
    pg_temp.id(100002), pg_temp.id(800804), pg_temp.id(800101), 2, 2.3, 5, now() + interval '1 day',
    now() - interval '2 days', 'fsrs 6.3.2'
)
on conflict do nothing;

insert into public.qa_interactions (
    id, student_id, query, answer, confidence, confidence_score, context_subjects, tutor_escalation_suggested,
    escalated_to_tutor_id, created_at
)
values
(
    pg_temp.id(801301), pg_temp.id(100001), 'What is a limit?', 'The value a function comes close to.', 'High', 0.93,
    '{Mathematics}', false, null, now() - interval '2 days'
),
(
    pg_temp.id(801302), pg_temp.id(100001), 'Is my proof right?', 'I am not sure; your tutor will look at it.', 'Low',
    0.31, '{Mathematics}', true, pg_temp.id(100004), now() - interval '1 day'
),
(
    pg_temp.id(801303), pg_temp.id(100001), 'What about fractions?', 'I am not sure.', 'Medium', 0.55, '{Mathematics}',
    true, pg_temp.id(100005), now() - interval '70 days'
),
(
    pg_temp.id(801311), pg_temp.id(100002), 'What is a fraction?', 'A part of a whole.', 'High', 0.97, '{Mathematics}',
    false, null, now() - interval '2 days'
)
on conflict do nothing;

insert into public.overrides (
    id, tutor_id, student_id, override_type, action, summary_id, qa_interaction_id, original_content, new_content,
    reason, subject_id, created_at
)
values
(
    pg_temp.id(801404), pg_temp.id(100005), pg_temp.id(100001), 'summary', 'edit', pg_temp.id(800704), null,
    '{"narrative": "Nothing was recorded."}', '{"narrative": "No transcript was recorded."}', 'Clearer',
    pg_temp.id(800101), now() - interval '69 days'
),
(
    pg_temp.id(801401), pg_temp.id(100004), pg_temp.id(100001), 'summary', 'edit', pg_temp.id(800701), null,
    '{"narrative": "We found limits."}',
    '{"narrative": "We found three limits from graphs and two by algebra. Signs are still a trap."}', 'Too short',
    pg_temp.id(800101), now() - interval '1 day'
),
(
    pg_temp.id(801402), pg_temp.id(100003), pg_temp.id(100001), 'summary', 'edit', pg_temp.id(800702), null,
    '{"narrative": "The period was measured."}', '{"narrative": "The period was measured with five swings."}', null,
    pg_temp.id(800102), now() - interval '3 days'
),
(
    pg_temp.id(801403), pg_temp.id(100004), pg_temp.id(100001), 'qa_answer', 'replace', null, pg_temp.id(801302),
    '{"answer": "It is right."}', '{"answer": "I am not sure; your tutor will look at it."}', 'It is not right', null,
    now() - interval '12 hours'
),
(
    pg_temp.id(801411), pg_temp.id(100005), pg_temp.id(100002), 'summary', 'edit', pg_temp.id(800711), null,
    '{"narrative": "Fractions."}', '{"narrative": "Fractions, from the start."}', null, pg_temp.id(800101),
    now() - interval '39 days'
)
on conflict do nothing;

update public.summaries as s set overridden = true, override_id = o.id
from public.overrides as o
where
    o.summary_id = s.id and s.override_id is null
    and o.id in (pg_temp.id(801401), pg_temp.id(801402), pg_temp.id(801404), pg_temp.id(801411));
update public.qa_interactions set overridden = true, override_id = pg_temp.id(801403)
where id = pg_temp.id(801302) and override_id is null;

-- ---------------------------------------------------------------------------------------------------------------------
-- 85 billing

insert into public.plans (
    id, name, display_name, description, price_monthly, price_annual, features, limits, is_active, sort_order,
    stripe_price_id_monthly, stripe_price_id_annual
)
values
(
    pg_temp.id(850101), 'free', 'Free', 'Sync and planning', 0, 0, '["Canvas sync", "Study plan"]',
    '{"headstarts_per_month": 5}', true, 1, null, null
),
(
    pg_temp.id(850102), 'pro', 'Pro', 'Everything', 1900, 19000, '["Canvas sync", "Study plan", "Headstarts", "Lectures"]',
    '{"headstarts_per_month": 200}', true, 2, 'price_seed_pro_monthly', 'price_seed_pro_annual'
),
(
    pg_temp.id(850103), 'basic', 'Basic', 'No longer on sale', 900, 9000, '["Canvas sync"]',
    '{"headstarts_per_month": 20}', false, 3, null, null
)
on conflict do nothing;

insert into public.subscriptions (
    id, user_id, plan_id, stripe_subscription_id, stripe_customer_id, status, current_period_start, current_period_end
)
values
(
    pg_temp.id(850201), pg_temp.id(100001), pg_temp.id(850102), 'sub_seed_student', 'cus_seed_student', 'active',
    now() - interval '12 days', now() + interval '18 days'
),
(pg_temp.id(850211), pg_temp.id(100002), pg_temp.id(850101), null, null, 'active', now() - interval '12 days', null)
on conflict do nothing;

insert into public.invoices (
    id, subscription_id, stripe_invoice_id, stripe_subscription_id, amount_due, amount_paid, amount_remaining, status,
    invoice_date
)
values
(
    pg_temp.id(850301), pg_temp.id(850201), 'in_seed_student_2', 'sub_seed_student', 1900, 1900, 0, 'paid',
    (now() at time zone 'UTC')::date - 12
),
(
    pg_temp.id(850302), pg_temp.id(850201), 'in_seed_student_1', 'sub_seed_student', 1900, 1900, 0, 'paid',
    (now() at time zone 'UTC')::date - 42
),
(
    pg_temp.id(850311), pg_temp.id(850211), 'in_seed_other_1', null, 0, 0, 0, 'paid',
    (now() at time zone 'UTC')::date - 12
)
on conflict do nothing;

insert into public.payment_events (
    id, user_id, stripe_event_id, event_type, payload, event_created, processed, processed_at
)
values
(
    pg_temp.id(850401), pg_temp.id(100001), 'evt_seed_1', 'invoice.paid', '{"object": "event"}', now() - interval '12 days',
    true, now() - interval '12 days'
)
on conflict do nothing;

-- ---------------------------------------------------------------------------------------------------------------------
-- 90 platform: finished jobs only, for a worker would try to run the others

insert into public.jobs (id, type, user_id, status, progress, created_at, scheduled_at)
values
(
    pg_temp.id(900101), 'canvas_sync', pg_temp.id(100001), 'queued', '{"courses": 3, "assignments": 5}',
    now() - interval '10 minutes', now() - interval '10 minutes'
),
(
    pg_temp.id(900102), 'headstart', pg_temp.id(100001), 'queued', '{}', now() - interval '2 hours',
    now() - interval '2 hours'
),
(
    pg_temp.id(900111), 'canvas_sync', pg_temp.id(100002), 'queued', '{"courses": 1, "assignments": 1}',
    now() - interval '10 minutes', now() - interval '10 minutes'
),
(
    pg_temp.id(900121), 'storage_cleanup', null, 'queued', '{}', now() - interval '1 day', now() - interval '1 day'
)
on conflict do nothing;

update public.jobs set status = 'running', started_at = created_at + interval '1 second'
where id in (pg_temp.id(900101), pg_temp.id(900102), pg_temp.id(900111), pg_temp.id(900121)) and status = 'queued';
update public.jobs
set status = 'succeeded', completed_at = created_at + interval '4 seconds', result = '{"changed": 0}'
where id in (pg_temp.id(900101), pg_temp.id(900111), pg_temp.id(900121)) and status = 'running';
update public.jobs
set
    status = 'failed', completed_at = created_at + interval '4 seconds', error_code = 'model_timeout',
    error_message = 'The model took too long to answer.'
where id = pg_temp.id(900102) and status = 'running';

insert into public.agents (id, type, name, description, is_active)
values
(pg_temp.id(900201), 'socratic', 'Socratic guide', 'Asks until you find it yourself', true),
(pg_temp.id(900202), 'brand', 'Brand scout', 'Was replaced', false),
(pg_temp.id(900203), 'clo', 'Objectives writer', 'Turns a week into objectives', true),
(pg_temp.id(900204), 'engineer', 'Code reader', 'Reads a repository', true),
(pg_temp.id(900205), 'headstart', 'Headstart writer', 'Gets you started on an assignment', true),
(pg_temp.id(900206), 'assistant', 'Teacher''s assistant', 'Plans lessons with a teacher', true),
(pg_temp.id(900207), 'tutor_companion', 'Companion', 'Answers between sessions', true)
on conflict do nothing;

insert into public.agent_configs (agent_id, config)
values (pg_temp.id(900201), '{"temperature": 0.4, "extra_instructions": "Ask, never tell."}')
on conflict do nothing;

insert into public.agent_assignments (id, agent_id, socratic_session_id, week_id, job_id)
values
(pg_temp.id(900401), pg_temp.id(900201), pg_temp.id(700401), null, null),
(pg_temp.id(900402), pg_temp.id(900203), null, pg_temp.id(700101), null),
(pg_temp.id(900403), pg_temp.id(900205), null, null, pg_temp.id(900101)),
(pg_temp.id(900411), pg_temp.id(900201), pg_temp.id(700411), null, null)
on conflict do nothing;

-- figures that are computed, not written
select public.refresh_user_stats(id) from auth.users
where email like '%@headstart.test' and raw_app_meta_data ->> 'role' = 'student';
