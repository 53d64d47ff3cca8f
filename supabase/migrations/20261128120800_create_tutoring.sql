-- Tables, functions and views of the room 80_tutoring.
-- Touches: 80_tutoring. Undo: drop what it creates, newest first; nothing in it destroys data.

set lock_timeout = '5s';

create type public.tutor_assignment_status as enum ('active', 'paused', 'completed');
comment on type public.tutor_assignment_status is
    'active: the tutor sees the student''s work, between the dates. paused: the tutor sees only the student''s '
    'profile. completed: the tutor sees nothing.';

create type public.goal_status as enum ('active', 'completed', 'paused', 'cancelled');
comment on type public.goal_status is
    'active: being worked on. completed, paused and cancelled can become active again.';

create type public.summary_type as enum ('normal', 'brief', 'missing_transcript');
comment on type public.summary_type is
    'normal: from a complete transcript. brief: from a short one. missing_transcript: from notes alone.';

create type public.practice_source as enum ('bank', 'ai_generated');
comment on type public.practice_source is
    'Where a practice question comes from: the reviewed bank, or written by the model for this student.';

create type public.qa_confidence as enum ('High', 'Medium', 'Low');
comment on type public.qa_confidence is 'How confident the companion was of an answer.';

create type public.override_type as enum ('summary', 'practice', 'qa_answer');
comment on type public.override_type is
    'What a tutor corrected: a session summary, a practice question, an answer to a question.';

-- The subjects that are taught. Staff write them; everybody signed in reads them.

create table public.subjects (
    id uuid primary key default gen_random_uuid(),
    name text not null,
    category text,
    description text,
    created_at timestamptz not null default now(),

    constraint subjects_name_key unique (name),
    constraint subjects_name_check check (char_length(name) between 1 and 200),
    constraint subjects_category_check check (char_length(category) <= 200),
    constraint subjects_description_check check (char_length(description) <= 5000)
);

create index idx_subjects_category on public.subjects (category);

comment on table public.subjects is 'Subjects of tutoring and practice.';
comment on column public.subjects.id is 'Identity of the row.';
comment on column public.subjects.name is 'Its name, unique.';
comment on column public.subjects.category is 'The group it belongs to; any text.';
comment on column public.subjects.description is 'What the subject covers.';
comment on column public.subjects.created_at is 'When the row was written.';

create trigger trg_subjects_columns before update on public.subjects
for each row execute function private.keep_columns('name', 'category', 'description');

-- Which subject leads to which. A link has a direction: algebra leads to calculus, not the other way. Staff write it.

create table public.related_subjects (
    subject_id uuid not null,
    related_subject_id uuid not null,
    created_at timestamptz not null default now(),

    constraint related_subjects_pkey primary key (subject_id, related_subject_id),
    constraint related_subjects_subject_id_fkey
        foreign key (subject_id) references public.subjects(id) on delete cascade,
    constraint related_subjects_related_subject_id_fkey
        foreign key (related_subject_id) references public.subjects(id) on delete cascade,
    constraint related_subjects_self_check check (subject_id <> related_subject_id)
);

create index idx_related_subjects_related_subject_id on public.related_subjects (related_subject_id);

comment on table public.related_subjects is 'Directed links between subjects, for suggestions across subjects.';
comment on column public.related_subjects.subject_id is 'The subject that leads on.';
comment on column public.related_subjects.related_subject_id is 'The subject it leads to.';
comment on column public.related_subjects.created_at is 'When the row was written.';

create trigger trg_related_subjects_columns before update on public.related_subjects
for each row execute function private.keep_columns('subject_id', 'related_subject_id');

-- The subjects that students say they study. It is their own list; no right follows from it.

create table public.student_subjects (
    student_id uuid not null default private.caller_id(),
    subject_id uuid not null,
    created_at timestamptz not null default now(),

    constraint student_subjects_pkey primary key (student_id, subject_id),
    constraint student_subjects_student_id_fkey
        foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint student_subjects_subject_id_fkey
        foreign key (subject_id) references public.subjects(id) on delete cascade
);

create index idx_student_subjects_subject_id on public.student_subjects (subject_id);

comment on table public.student_subjects is 'Subjects a student studies.';
comment on column public.student_subjects.student_id is 'The student.';
comment on column public.student_subjects.subject_id is 'The subject.';
comment on column public.student_subjects.created_at is 'When the row was written.';

-- Who tutors whom, in one subject or (subject_id null) in all. Every right of a tutor follows from this table. Staff
-- write it, and every change is audited. The tutor's notes are in private.tutor_notes, encrypted.

create table public.tutor_student_assignments (
    id uuid primary key default gen_random_uuid(),
    tutor_id uuid not null,
    student_id uuid not null,
    subject_id uuid,
    assigned_at timestamptz not null default now(),
    status public.tutor_assignment_status not null default 'active',
    start_date date,
    end_date date,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint tutor_student_assignments_tutor_id_fkey
        foreign key (tutor_id) references public.profiles(user_id) on delete cascade,
    constraint tutor_student_assignments_student_id_fkey
        foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint tutor_student_assignments_subject_id_fkey
        foreign key (subject_id) references public.subjects(id) on delete restrict,
    -- a null subject_id counts as a value: one assignment for all subjects beside one for each subject
    constraint tutor_student_assignments_tutor_id_student_id_subject_id_key
        unique nulls not distinct (tutor_id, student_id, subject_id),
    constraint tutor_student_assignments_self_check check (tutor_id <> student_id),
    -- infinite days and years that clients cannot read
    constraint tutor_student_assignments_start_date_check check (start_date between '0001-01-01' and '9999-12-31'),
    constraint tutor_student_assignments_end_date_check
        check (end_date >= start_date and end_date between '0001-01-01' and '9999-12-31')
);

-- for the policies, at every request of a tutor; the included columns spare reading the table
create index idx_tsa_tutor on public.tutor_student_assignments (tutor_id, student_id)
include (subject_id, start_date, end_date) where status = 'active';
-- the same for tutoring in one subject, so that a tutor of thousands in all subjects finds at once that there is none
create index idx_tutor_student_assignments_tutor_id_subject
on public.tutor_student_assignments (tutor_id, student_id, subject_id)
include (start_date, end_date) where status = 'active' and subject_id is not null;
create index idx_tsa_student on public.tutor_student_assignments (student_id, status);
-- for the daily end of assignments
create index idx_tsa_status on public.tutor_student_assignments (status, end_date);
create index idx_tutor_student_assignments_subject_id on public.tutor_student_assignments (subject_id);

comment on table public.tutor_student_assignments is
    'Which tutor may see and change which student''s learning, in which subject, and when.';
comment on column public.tutor_student_assignments.id is 'Identity of the row.';
comment on column public.tutor_student_assignments.tutor_id is 'The tutor; an account with the role tutor.';
comment on column public.tutor_student_assignments.student_id is 'The student; an account with the role student.';
comment on column public.tutor_student_assignments.subject_id is
    'The one subject it covers; null covers all, rows without a subject included.';
comment on column public.tutor_student_assignments.assigned_at is 'When it was made.';
comment on column public.tutor_student_assignments.status is 'active, paused or completed.';
comment on column public.tutor_student_assignments.start_date is
    'The first UTC day on which it gives access; null: from the beginning.';
comment on column public.tutor_student_assignments.end_date is
    'The last UTC day on which it gives access; null: no end.';
comment on column public.tutor_student_assignments.created_at is 'When the row was written.';
comment on column public.tutor_student_assignments.updated_at is 'When the row last changed; kept by trigger.';

create trigger trg_tutor_student_assignments_columns before update on public.tutor_student_assignments
for each row execute function private.keep_columns(
    'tutor_id', 'student_id', 'subject_id', 'assigned_at', 'status', 'start_date', 'end_date'
);
create trigger trg_tutor_student_assignments_audit
after insert or update or delete on public.tutor_student_assignments
for each row execute function private.audit(
    'id', 'student_id', 'tutor_id', 'student_id', 'subject_id', 'status', 'start_date', 'end_date'
);
create trigger trg_tutor_student_assignments_role
after insert or update of tutor_id, student_id on public.tutor_student_assignments
for each row execute function private.check_profile_role('tutor_id', 'tutor', 'student_id', 'student');
create trigger trg_tutor_student_assignments_status
before insert or update of status on public.tutor_student_assignments
for each row execute function private.enforce_transition(
    'status', '>active', '>paused', 'active>paused', 'active>completed', 'paused>active', 'paused>completed',
    'completed>active'
);
create trigger trg_tutor_student_assignments_updated_at before update on public.tutor_student_assignments
for each row execute function public.set_updated_at();

-- Who may see which student: the questions that all policies about students ask.
--
-- A tutor's assignment counts while its status is active, today (UTC) lies between its dates, both inclusive, and the
-- account has role tutor now. Without a subject it covers every row of the student. With one it covers only rows of
-- that subject, never rows without a subject.
--
-- Policies on big tables ask for a list once for each statement and let one column drive one index:
--     student_id = any ((select private.visible_students())::uuid[])
--     and (
--         student_id not in (select private.partly_tutored_students())
--         or (student_id, subject_id) in (select t.student_id, t.subject_id from private.tutored_subjects() as t)
--     )
-- The first line finds the rows of everybody the caller has to do with. What follows only takes rows away: it looks
-- into two small hash tables, which are empty for all but tutors of one subject. With an "or" between two columns at
-- the head of the policy the planner would join two bitmaps and visit every row
-- (docs/decisions/0013-one-list-of-students.md).
--
-- The functions that take a student check single rows. All are plpgsql, which keeps its plans between statements.

create function private.is_tutor()
returns boolean
language plpgsql
stable
parallel safe
security definer
set search_path = ''
as $$
begin
    return exists (select from public.profiles where user_id = private.caller_id() and role = 'tutor');
end
$$;

comment on function private.is_tutor() is 'Whether the caller''s profile says tutor now, whatever their token says.';

create view private.current_assignments with (security_invoker = true) as
select
    a.tutor_id,
    a.student_id,
    a.subject_id,
    a.status
from public.tutor_student_assignments as a
inner join public.profiles as p on a.tutor_id = p.user_id
where
    p.role = 'tutor'
    and a.status in ('active', 'paused')
    and (a.start_date is null or a.start_date <= (select private.today()))
    and (a.end_date is null or a.end_date >= (select private.today()));

comment on view private.current_assignments is
    'Everybody''s assignments that are between their dates today, active and paused ones. The functions below read '
    'it; no client may.';
comment on column private.current_assignments.tutor_id is 'The tutor, whose profile says tutor now.';
comment on column private.current_assignments.student_id is 'The student.';
comment on column private.current_assignments.subject_id is
    'The one subject; null covers all, rows without a subject included.';
comment on column private.current_assignments.status is 'active or paused.';

create function private.tutors(p_student_id uuid, p_subject_id uuid)
returns boolean
language plpgsql
stable
parallel safe
security definer
set search_path = ''
as $$
begin
    return exists (
        select from private.current_assignments as a
        where a.tutor_id = (select private.caller_id()) and a.status = 'active' and a.student_id = p_student_id
            and (a.subject_id is null or a.subject_id = p_subject_id)
    );
end
$$;

comment on function private.tutors(uuid, uuid) is
    'Whether the caller actively tutors this student in this subject; with a null subject, in all of them.';

create function private.tutors_any(p_student_id uuid)
returns boolean
language plpgsql
stable
parallel safe
security definer
set search_path = ''
as $$
begin
    return exists (
        select from private.current_assignments as a
        where a.tutor_id = (select private.caller_id()) and a.status = 'active' and a.student_id = p_student_id
    );
end
$$;

comment on function private.tutors_any(uuid) is 'Whether the caller actively tutors this student in any subject.';

create function private.tutored_students()
returns uuid[]
language plpgsql
stable
parallel safe
security definer
set search_path = ''
as $$
begin
    return array(
        select a.student_id from private.current_assignments as a
        where a.tutor_id = (select private.caller_id()) and a.status = 'active'
    );
end
$$;

comment on function private.tutored_students() is 'Students the caller actively tutors in any subject.';

create function private.tutored_subjects()
returns table (student_id uuid, subject_id uuid)
language plpgsql
stable
parallel safe
security definer
set search_path = ''
rows 40
as $$
#variable_conflict use_column
begin
    return query
    select a.student_id, a.subject_id from private.current_assignments as a
    where a.tutor_id = (select private.caller_id()) and a.status = 'active' and a.subject_id is not null;
end
$$;

comment on function private.tutored_subjects() is
    'Student and subject of each active assignment of the caller that names a subject.';

create function private.partly_tutored_students()
returns setof uuid
language plpgsql
stable
parallel safe
security definer
set search_path = ''
rows 10
as $$
begin
    return query
    select a.student_id from private.current_assignments as a
    where a.tutor_id = (select private.caller_id()) and a.status = 'active'
    group by a.student_id having bool_and(a.subject_id is not null);
end
$$;

comment on function private.partly_tutored_students() is
    'Students the caller actively tutors in certain subjects only.';

create function private.own_and_tutored_students()
returns uuid[]
language plpgsql
stable
parallel safe
security definer
set search_path = ''
as $$
declare
    v_me constant uuid := private.caller_id();
begin
    return case when v_me is null then '{}' else array[v_me] || private.tutored_students() end;
end
$$;

comment on function private.own_and_tutored_students() is
    'The caller and private.tutored_students(): for rows that parents do not see.';

create function private.visible_students()
returns uuid[]
language plpgsql
stable
parallel safe
security definer
set search_path = ''
as $$
declare
    v_me constant uuid := private.caller_id();
begin
    -- An account has one role, so only one of the lists can have members.
    return case (select role from public.profiles where user_id = v_me)
        when 'tutor' then array[v_me] || private.tutored_students()
        when 'parent' then array[v_me] || private.guarded_students()
        else array_remove(array[v_me], null)
    end;
end
$$;

comment on function private.visible_students() is
    'The caller, the students they actively tutor in any subject, and their children with consent.';

create function private.tutors_of(p_student_ids uuid[])
returns uuid[]
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    return array(
        select distinct a.tutor_id from private.current_assignments as a where a.student_id = any (p_student_ids)
    );
end
$$;

comment on function private.tutors_of(uuid[]) is
    'Tutors of these students today, paused ones included. It does not ask who is calling, so no client may run it.';

-- What a student wants to achieve. The student or a tutor sets it; the service writes progress (percentage, streak,
-- xp).

create table public.goals (
    id uuid primary key default gen_random_uuid(),
    student_id uuid not null default private.caller_id(),
    created_by uuid default private.caller_id(),
    subject_id uuid,
    goal_type text,
    title text not null,
    description text,
    target_completion_date date,
    status public.goal_status not null default 'active',
    completion_percentage numeric(5, 2) not null default 0,
    current_streak int not null default 0,
    xp_earned int not null default 0,
    completed_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint goals_student_id_fkey foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint goals_created_by_fkey foreign key (created_by) references public.profiles(user_id) on delete set null,
    constraint goals_subject_id_fkey foreign key (subject_id) references public.subjects(id) on delete restrict,
    constraint goals_goal_type_check check (char_length(goal_type) <= 200),
    constraint goals_title_check check (char_length(title) between 1 and 500),
    constraint goals_description_check check (char_length(description) <= 10000),
    -- infinite days and years that clients cannot read
    constraint goals_target_completion_date_check
        check (target_completion_date between '0001-01-01' and '9999-12-31'),
    constraint goals_completion_percentage_check check (completion_percentage between 0 and 100),
    constraint goals_current_streak_check check (current_streak >= 0),
    constraint goals_xp_earned_check check (xp_earned >= 0),
    constraint goals_completed_at_check check ((status = 'completed') = (completed_at is not null))
);

create index idx_goals_student on public.goals (student_id, status);
-- for goals that are due
create index idx_goals_status on public.goals (status, target_completion_date);
-- the newest of everybody, for staff
create index idx_goals_created on public.goals (created_at);
create index idx_goals_subject on public.goals (subject_id);
create index idx_goals_created_by on public.goals (created_by);

-- Finds a caller's rows by student, also where they are asked for by date
-- (docs/decisions/0013-one-list-of-students.md).
alter table public.goals alter column student_id set (n_distinct = -0.1);

comment on table public.goals is 'Goals of students.';
comment on column public.goals.id is 'Identity of the row.';
comment on column public.goals.student_id is 'The student.';
comment on column public.goals.created_by is 'Who set it: the student or a tutor; null when that account is deleted.';
comment on column public.goals.subject_id is 'The subject; null for a goal across subjects.';
comment on column public.goals.goal_type is 'The kind of goal; any text.';
comment on column public.goals.title is 'The goal in a few words.';
comment on column public.goals.description is 'The goal at length.';
comment on column public.goals.target_completion_date is 'The day by which to achieve it.';
comment on column public.goals.status is 'Its state.';
comment on column public.goals.completion_percentage is 'How much is achieved, 0 to 100.';
comment on column public.goals.current_streak is 'Consecutive days of work on it.';
comment on column public.goals.xp_earned is 'Points earned by it.';
comment on column public.goals.completed_at is 'When it was completed; kept by trigger, cleared when reopened.';
comment on column public.goals.created_at is 'When the row was written.';
comment on column public.goals.updated_at is 'When the row last changed; kept by trigger.';

create function private.stamp_goal()
returns trigger
language plpgsql
-- security definer, because the clock is in the schema private, on which students have no usage
security definer
set search_path = ''
as $$
begin
    new.completed_at := case when new.status = 'completed' then private.clock() end;
    return new;
end
$$;

comment on function private.stamp_goal() is
    'BEFORE a change of status on goals: sets completed_at when the goal becomes completed, clears it afterwards.';

create trigger trg_goals_columns before update on public.goals
for each row execute function private.keep_columns(
    'subject_id', 'goal_type', 'title', 'description', 'target_completion_date', 'status'
);
create trigger trg_goals_stamp before update of status on public.goals
for each row when (old.status is distinct from new.status) execute function private.stamp_goal();
create trigger trg_goals_status before insert or update of status on public.goals
for each row execute function private.enforce_transition(
    'status', '>active', 'active>paused', 'active>completed', 'active>cancelled', 'paused>active',
    'paused>completed', 'paused>cancelled', 'completed>active', 'cancelled>active'
);
create trigger trg_goals_updated_at before update on public.goals
for each row execute function public.set_updated_at();

-- A tutoring session, planned or held. The tutor writes it; it stays when the tutor's account is deleted. Transcript
-- and notes are in the schema private, encrypted.

create table public.tutoring_sessions (
    id uuid primary key default gen_random_uuid(),
    student_id uuid not null,
    tutor_id uuid default private.caller_id(),
    session_date timestamptz not null,
    duration_minutes int,
    subject_id uuid,
    transcript_available boolean not null default false,
    topics_covered text[] not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint tutoring_sessions_student_id_fkey
        foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint tutoring_sessions_tutor_id_fkey
        foreign key (tutor_id) references public.profiles(user_id) on delete set null,
    constraint tutoring_sessions_subject_id_fkey
        foreign key (subject_id) references public.subjects(id) on delete restrict,
    constraint tutoring_sessions_id_student_id_key unique (id, student_id),
    -- infinite times and years that clients cannot read
    constraint tutoring_sessions_session_date_check
        check (session_date >= '0001-01-01 00:00:00+00' and session_date < '10000-01-01 00:00:00+00'),
    constraint tutoring_sessions_duration_minutes_check check (duration_minutes > 0)
);

create index idx_sessions_student on public.tutoring_sessions (student_id, subject_id);
-- for a student's page, newest first
create index idx_tutoring_sessions_student_date on public.tutoring_sessions (student_id, session_date);
create index idx_sessions_tutor on public.tutoring_sessions (tutor_id);
create index idx_sessions_date on public.tutoring_sessions (session_date);
create index idx_tutoring_sessions_subject_id on public.tutoring_sessions (subject_id);

-- Finds a caller's rows by student, also where they are asked for by date
-- (docs/decisions/0013-one-list-of-students.md).
alter table public.tutoring_sessions alter column student_id set (n_distinct = -0.1);

comment on table public.tutoring_sessions is 'Tutoring sessions; Socratic sessions and those of Auth are other tables.';
comment on column public.tutoring_sessions.id is 'Identity of the row.';
comment on column public.tutoring_sessions.student_id is 'The student.';
comment on column public.tutoring_sessions.tutor_id is 'The tutor; null when that account is deleted.';
comment on column public.tutoring_sessions.session_date is
    'When it takes place; a session in the future does not count as held.';
comment on column public.tutoring_sessions.duration_minutes is 'Its length in minutes.';
comment on column public.tutoring_sessions.subject_id is 'The subject, if it had one.';
comment on column public.tutoring_sessions.transcript_available is 'Whether a transcript is stored; kept by trigger.';
comment on column public.tutoring_sessions.topics_covered is 'What was worked on.';
comment on column public.tutoring_sessions.created_at is 'When the row was written.';
comment on column public.tutoring_sessions.updated_at is 'When the row last changed; kept by trigger.';

create trigger trg_tutoring_sessions_columns before update on public.tutoring_sessions
for each row execute function private.keep_columns('session_date', 'duration_minutes', 'subject_id', 'topics_covered');
create trigger trg_tutoring_sessions_role after insert or update of tutor_id, student_id on public.tutoring_sessions
for each row execute function private.check_profile_role('tutor_id', 'tutor', 'student_id', 'student');
create trigger trg_tutoring_sessions_updated_at before update on public.tutoring_sessions
for each row execute function public.set_updated_at();

-- The transcript of a tutoring session, encrypted by the service (key version, nonce and text in one envelope), or the
-- key of a stored file. Only svc functions read and write it; every reading is audited.

create table private.session_transcripts (
    session_id uuid primary key,
    transcript_enc text,
    transcript_storage_key text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint session_transcripts_session_id_fkey
        foreign key (session_id) references public.tutoring_sessions(id) on delete cascade,
    constraint session_transcripts_content_check check (num_nonnulls(transcript_enc, transcript_storage_key) >= 1),
    constraint session_transcripts_transcript_enc_check check (transcript_enc ~ '^v[0-9]+:'),
    constraint session_transcripts_transcript_storage_key_check check (char_length(transcript_storage_key) <= 500)
);

comment on table private.session_transcripts is
    'Encrypted transcripts of tutoring sessions. Not for parents, not for staff.';
comment on column private.session_transcripts.session_id is 'The session.';
comment on column private.session_transcripts.transcript_enc is 'The transcript as an envelope v<key>:<base64url>.';
comment on column private.session_transcripts.transcript_storage_key is 'bucket/object of a stored transcript.';
comment on column private.session_transcripts.created_at is 'When the row was written.';
comment on column private.session_transcripts.updated_at is 'When the row last changed; kept by trigger.';

create function private.mark_transcript()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    update public.tutoring_sessions set transcript_available = (tg_op = 'INSERT')
    where id = case when tg_op = 'INSERT' then new.session_id else old.session_id end;
    return null;
end
$$;

comment on function private.mark_transcript() is
    'AFTER INSERT OR DELETE on session_transcripts: sets transcript_available of the session.';

create trigger trg_session_transcripts_mark after insert or delete on private.session_transcripts
for each row execute function private.mark_transcript();
create trigger trg_session_transcripts_storage
after delete or update of transcript_storage_key on private.session_transcripts
for each row execute function private.enqueue_storage_deletion('transcript_storage_key');
create trigger trg_session_transcripts_updated_at before update on private.session_transcripts
for each row execute function public.set_updated_at();

create function public.svc_put_transcript(p_session_id uuid, p_transcript_enc text, p_storage_key text default null)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if p_session_id is null or num_nonnulls(p_transcript_enc, p_storage_key) = 0 then
        raise exception 'p_session_id, and p_transcript_enc or p_storage_key, must not be null' using errcode = '22004';
    end if;
    perform from public.tutoring_sessions where id = p_session_id for key share;
    if not found then
        raise exception 'no session has the id in p_session_id' using errcode = 'PT404';
    end if;
    insert into private.session_transcripts (session_id, transcript_enc, transcript_storage_key)
    values (p_session_id, p_transcript_enc, p_storage_key)
    on conflict (session_id) do update set
        transcript_enc = excluded.transcript_enc,
        transcript_storage_key = excluded.transcript_storage_key;
end
$$;

comment on function public.svc_put_transcript(uuid, text, text) is
    'Stores or replaces the encrypted transcript of a session. A replaced file is put into the storage outbox. PT404 '
    'when the session does not exist.';

create function public.svc_get_transcript(p_session_id uuid)
returns table (transcript_enc text, transcript_storage_key text, updated_at timestamptz)
language plpgsql
-- volatile, because it writes to the audit log
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_student_id uuid;
begin
    select student_id into v_student_id from public.tutoring_sessions where id = p_session_id;
    if v_student_id is not null then
        perform private.write_audit('read', 'session_transcripts', p_session_id::text, v_student_id);
    end if;
    return query
    select t.transcript_enc, t.transcript_storage_key, t.updated_at
    from private.session_transcripts as t where t.session_id = p_session_id;
end
$$;

comment on function public.svc_get_transcript(uuid) is
    'The encrypted transcript of a session, or no row. The reading is audited.';

-- A tutor's private notes on a session or an assignment, encrypted by the service. Only their author reads them,
-- through svc functions; every reading is audited. They are deleted with the tutor, the student, the session or the
-- assignment.

create table private.tutor_notes (
    id uuid primary key default gen_random_uuid(),
    tutor_id uuid not null,
    student_id uuid not null,
    session_id uuid,
    assignment_id uuid,
    body_enc text not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint tutor_notes_tutor_id_fkey foreign key (tutor_id) references public.profiles(user_id) on delete cascade,
    constraint tutor_notes_student_id_fkey
        foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint tutor_notes_session_id_fkey
        foreign key (session_id, student_id) references public.tutoring_sessions(id, student_id) on delete cascade,
    constraint tutor_notes_assignment_id_fkey
        foreign key (assignment_id) references public.tutor_student_assignments(id) on delete cascade,
    constraint tutor_notes_parent_check check (num_nonnulls(session_id, assignment_id) = 1),
    constraint tutor_notes_body_enc_check check (body_enc ~ '^v[0-9]+:')
);

create index idx_tutor_notes_tutor_id on private.tutor_notes (tutor_id, student_id);
create index idx_tutor_notes_student_id on private.tutor_notes (student_id);
create index idx_tutor_notes_session_id on private.tutor_notes (session_id, student_id);
create index idx_tutor_notes_assignment_id on private.tutor_notes (assignment_id);

comment on table private.tutor_notes is 'Encrypted notes of tutors, for their author alone.';
comment on column private.tutor_notes.id is 'Identity of the row.';
comment on column private.tutor_notes.tutor_id is 'The author.';
comment on column private.tutor_notes.student_id is 'The student they are about.';
comment on column private.tutor_notes.session_id is 'The session they are about, unless assignment_id is set.';
comment on column private.tutor_notes.assignment_id is 'The assignment they are about, unless session_id is set.';
comment on column private.tutor_notes.body_enc is 'The notes as an envelope v<key>:<base64url>.';
comment on column private.tutor_notes.created_at is 'When the row was written.';
comment on column private.tutor_notes.updated_at is 'When the row last changed; kept by trigger.';

create trigger trg_tutor_notes_updated_at before update on private.tutor_notes
for each row execute function public.set_updated_at();

create function public.svc_put_tutor_note(
    p_tutor_id uuid,
    p_student_id uuid,
    p_body_enc text,
    p_session_id uuid default null,
    p_assignment_id uuid default null,
    p_id uuid default null
)
returns uuid
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_id uuid;
begin
    if p_tutor_id is null or p_student_id is null or p_body_enc is null then
        raise exception 'p_tutor_id, p_student_id and p_body_enc must not be null' using errcode = '22004';
    end if;
    if num_nonnulls(p_session_id, p_assignment_id) <> 1 then
        raise exception 'exactly one of p_session_id and p_assignment_id must be given' using errcode = '22023';
    end if;
    if not exists (
        select from public.tutoring_sessions as s
        where s.id = p_session_id and s.student_id = p_student_id and s.tutor_id = p_tutor_id
    ) and not exists (
        select from public.tutor_student_assignments as a
        where a.id = p_assignment_id and a.student_id = p_student_id and a.tutor_id = p_tutor_id
    ) then
        raise exception 'this tutor and student have no session p_session_id or assignment p_assignment_id'
            using errcode = 'PT404';
    end if;
    insert into private.tutor_notes as n (id, tutor_id, student_id, session_id, assignment_id, body_enc)
    values (
        coalesce(p_id, gen_random_uuid()), p_tutor_id, p_student_id, p_session_id, p_assignment_id, p_body_enc
    )
    on conflict (id) do update set body_enc = excluded.body_enc
    where n.tutor_id = excluded.tutor_id
        and n.student_id = excluded.student_id
        and n.session_id is not distinct from excluded.session_id
        and n.assignment_id is not distinct from excluded.assignment_id
    returning id into v_id;
    if v_id is null then
        raise exception 'no note of this tutor about this session or assignment has the id in p_id'
            using errcode = 'PT404';
    end if;
    return v_id;
end
$$;

comment on function public.svc_put_tutor_note(uuid, uuid, text, uuid, uuid, uuid) is
    'Stores a note, or replaces the body of the author''s note p_id, and returns its id. The caller chooses p_id for '
    'a new note, because the envelope is bound to it. PT404 when the session, the assignment or the note is not this '
    'tutor''s.';

create function public.svc_list_tutor_notes(p_tutor_id uuid, p_student_id uuid)
returns table (
    id uuid, session_id uuid, assignment_id uuid, body_enc text, created_at timestamptz, updated_at timestamptz
)
language plpgsql
-- volatile, because it writes to the audit log
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
    if p_tutor_id is null or p_student_id is null then
        raise exception 'p_tutor_id and p_student_id must not be null' using errcode = '22004';
    end if;
    perform private.write_audit(
        'read', 'tutor_notes', null, p_student_id, jsonb_build_object('tutor_id', p_tutor_id)
    );
    return query
    select n.id, n.session_id, n.assignment_id, n.body_enc, n.created_at, n.updated_at
    from private.tutor_notes as n
    where n.tutor_id = p_tutor_id and n.student_id = p_student_id
    order by n.created_at, n.id;
end
$$;

comment on function public.svc_list_tutor_notes(uuid, uuid) is
    'A tutor''s own notes on a student, oldest first. The reading is audited.';

create function public.svc_delete_tutor_note(p_id uuid, p_tutor_id uuid)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    delete from private.tutor_notes where id = p_id and tutor_id = p_tutor_id;
    return found;
end
$$;

comment on function public.svc_delete_tutor_note(uuid, uuid) is
    'Deletes a note of this author; false when the author has no such note.';

-- What the companion wrote about a session, for student, parents and tutors. The job session_summary writes it; only
-- apply_override corrects it. A trigger copies tutor and subject from the session, so that the policy needs no join.

create table public.summaries (
    id uuid primary key default gen_random_uuid(),
    session_id uuid not null,
    student_id uuid not null,
    tutor_id uuid,
    subject_id uuid,
    narrative text not null,
    next_steps text[] not null default '{}',
    subjects_covered text[] not null default '{}',
    summary_type public.summary_type not null,
    overridden boolean not null default false,
    override_id uuid,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint summaries_session_id_fkey
        foreign key (session_id, student_id) references public.tutoring_sessions(id, student_id) on delete cascade,
    constraint summaries_student_id_fkey
        foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint summaries_tutor_id_fkey foreign key (tutor_id) references public.profiles(user_id) on delete set null,
    constraint summaries_subject_id_fkey foreign key (subject_id) references public.subjects(id) on delete restrict,
    constraint summaries_narrative_check check (char_length(narrative) between 1 and 50000),
    constraint summaries_override_id_check check (override_id is null or overridden)
);

create index idx_summaries_session on public.summaries (session_id, student_id);
create index idx_summaries_student on public.summaries (student_id, created_at desc) include (subject_id);
-- the newest of everybody, for staff
create index idx_summaries_created on public.summaries (created_at);
create index idx_summaries_tutor on public.summaries (tutor_id);
create index idx_summaries_subject on public.summaries (subject_id);
create index idx_summaries_override on public.summaries (override_id) where override_id is not null;

-- Finds a caller's rows by student, also where they are asked for by date
-- (docs/decisions/0013-one-list-of-students.md).
alter table public.summaries alter column student_id set (n_distinct = -0.1);

comment on table public.summaries is 'Summaries of tutoring sessions.';
comment on column public.summaries.id is 'Identity of the row.';
comment on column public.summaries.session_id is 'The session.';
comment on column public.summaries.student_id is 'The session''s student.';
comment on column public.summaries.tutor_id is 'The session''s tutor; null when that account is deleted.';
comment on column public.summaries.subject_id is 'The session''s subject; copied and kept equal by trigger.';
comment on column public.summaries.narrative is 'The summary as prose.';
comment on column public.summaries.next_steps is 'What to do next, in order.';
comment on column public.summaries.subjects_covered is 'Names of the subjects it mentions.';
comment on column public.summaries.summary_type is 'What it was written from.';
comment on column public.summaries.overridden is 'Whether a tutor corrected it.';
comment on column public.summaries.override_id is 'The latest correction.';
comment on column public.summaries.created_at is 'When the row was written.';
comment on column public.summaries.updated_at is 'When the row last changed; kept by trigger.';

create function private.copy_session_to_summary()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_session record;
begin
    -- the lock puts this and a change of the session's subject one after the other
    select tutor_id, subject_id into v_session from public.tutoring_sessions where id = new.session_id for share;
    -- when there is no session, the foreign key raises the error
    if found then
        new.subject_id := v_session.subject_id;
        if tg_op = 'INSERT' then
            new.tutor_id := v_session.tutor_id;
        end if;
    end if;
    return new;
end
$$;

comment on function private.copy_session_to_summary() is
    'BEFORE INSERT, or UPDATE of session or subject, on summaries: copies the subject from the session, and on insert '
    'the tutor, too.';

create trigger trg_summaries_session before insert or update of session_id, subject_id on public.summaries
for each row execute function private.copy_session_to_summary();

create function private.copy_subject_to_summaries()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    update public.summaries set subject_id = new.subject_id
    where session_id = new.id and subject_id is distinct from new.subject_id;
    return null;
end
$$;

comment on function private.copy_subject_to_summaries() is
    'AFTER a change of subject on tutoring_sessions: copies it to the session''s summaries.';

create trigger trg_tutoring_sessions_summaries after update of subject_id on public.tutoring_sessions
for each row when (old.subject_id is distinct from new.subject_id)
execute function private.copy_subject_to_summaries();
create trigger trg_summaries_updated_at before update on public.summaries
for each row execute function public.set_updated_at();

-- A question of the practice bank. Tutors and staff write it. The answer is in a table of its own, because students
-- read the question before they may read the answer. elo_rating changes with every completed practice.

create table public.practice_bank_items (
    id uuid primary key default gen_random_uuid(),
    question_text text not null,
    subject_id uuid not null,
    difficulty_level int not null,
    elo_rating int not null,
    goal_tags text[] not null default '{}',
    topic_tags text[] not null default '{}',
    created_by uuid default private.caller_id(),
    version int not null default 1,
    is_active boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint practice_bank_items_subject_id_fkey
        foreign key (subject_id) references public.subjects(id) on delete restrict,
    constraint practice_bank_items_created_by_fkey
        foreign key (created_by) references public.profiles(user_id) on delete set null,
    constraint practice_bank_items_question_text_check check (char_length(question_text) between 1 and 20000),
    constraint practice_bank_items_difficulty_level_check check (difficulty_level between 1 and 10),
    constraint practice_bank_items_elo_rating_check check (elo_rating between 100 and 3000),
    constraint practice_bank_items_version_check check (version >= 1)
);

-- for choosing an item near a rating
create index idx_pbi_subject on public.practice_bank_items (subject_id, elo_rating);
create index idx_pbi_difficulty on public.practice_bank_items (difficulty_level);
create index idx_pbi_active on public.practice_bank_items (subject_id, difficulty_level) where is_active;
create index idx_pbi_goal_tags on public.practice_bank_items using gin (goal_tags);
create index idx_practice_bank_items_topic_tags on public.practice_bank_items using gin (topic_tags);
create index idx_practice_bank_items_created_by on public.practice_bank_items (created_by);

comment on table public.practice_bank_items is 'Questions of the practice bank.';
comment on column public.practice_bank_items.id is 'Identity of the row.';
comment on column public.practice_bank_items.question_text is 'The question.';
comment on column public.practice_bank_items.subject_id is 'Its subject.';
comment on column public.practice_bank_items.difficulty_level is '1 (easy) to 10, as its author sees it.';
comment on column public.practice_bank_items.elo_rating is
    'Difficulty by students'' results; begins with 450 + 100 x difficulty_level.';
comment on column public.practice_bank_items.goal_tags is 'Goals it serves.';
comment on column public.practice_bank_items.topic_tags is 'Topics it covers.';
comment on column public.practice_bank_items.created_by is 'Its author; null when that account is deleted.';
comment on column public.practice_bank_items.version is 'Raised by trigger when question or answer changes.';
comment on column public.practice_bank_items.is_active is 'Whether it may be assigned.';
comment on column public.practice_bank_items.created_at is 'When the row was written.';
comment on column public.practice_bank_items.updated_at is 'When the row last changed; kept by trigger.';

create function private.practice_item_defaults()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if tg_op = 'INSERT' then
        new.elo_rating := coalesce(new.elo_rating, 450 + 100 * new.difficulty_level);
    elsif new.question_text is distinct from old.question_text then
        new.version := old.version + 1;
    end if;
    return new;
end
$$;

comment on function private.practice_item_defaults() is
    'BEFORE INSERT OR UPDATE on practice_bank_items: a new item begins with the rating of its level (1: 550, 10: '
    '1450). A change of the question raises the version.';

create trigger trg_practice_bank_items_columns before update on public.practice_bank_items
for each row execute function private.keep_columns(
    'question_text', 'subject_id', 'difficulty_level', 'goal_tags', 'topic_tags', 'is_active'
);
create trigger trg_practice_bank_items_defaults before insert or update on public.practice_bank_items
for each row execute function private.practice_item_defaults();
create trigger trg_practice_bank_items_updated_at before update on public.practice_bank_items
for each row execute function public.set_updated_at();

-- The answer to a bank item, in a table of its own: students may read it only after they completed the item.

create table public.practice_bank_answers (
    item_id uuid primary key,
    answer_text text not null,
    explanation text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint practice_bank_answers_item_id_fkey
        foreign key (item_id) references public.practice_bank_items(id) on delete cascade,
    constraint practice_bank_answers_answer_text_check check (char_length(answer_text) between 1 and 20000),
    constraint practice_bank_answers_explanation_check check (char_length(explanation) <= 20000)
);

comment on table public.practice_bank_answers is 'Answers to bank items.';
comment on column public.practice_bank_answers.item_id is 'The item.';
comment on column public.practice_bank_answers.answer_text is 'The answer.';
comment on column public.practice_bank_answers.explanation is 'Why it is right.';
comment on column public.practice_bank_answers.created_at is 'When the row was written.';
comment on column public.practice_bank_answers.updated_at is 'When the row last changed; kept by trigger.';

create function private.raise_item_version()
returns trigger
language plpgsql
-- security definer, because authors may not write the version
security definer
set search_path = ''
as $$
begin
    update public.practice_bank_items set version = version + 1 where id = new.item_id;
    return null;
end
$$;

comment on function private.raise_item_version() is 'AFTER a change of an answer: raises the version of its item.';

create trigger trg_practice_bank_answers_columns before update on public.practice_bank_answers
for each row execute function private.keep_columns('answer_text', 'explanation');
create trigger trg_practice_bank_answers_version after update of answer_text, explanation
on public.practice_bank_answers
for each row when (
    old.answer_text is distinct from new.answer_text or old.explanation is distinct from new.explanation
)
execute function private.raise_item_version();
create trigger trg_practice_bank_answers_updated_at before update on public.practice_bank_answers
for each row execute function public.set_updated_at();

-- A practice question given to a student: an item of the bank, or a question the model wrote. A tutor or the service
-- assigns it, complete_practice_assignment completes it once, and apply_override corrects it.

create table public.practice_assignments (
    id uuid primary key default gen_random_uuid(),
    student_id uuid not null,
    source public.practice_source not null default 'bank',
    bank_item_id uuid,
    bank_item_version int,
    ai_question_text text,
    flagged boolean not null default false,
    subject_id uuid,
    difficulty_level int,
    goal_tags text[] not null default '{}',
    student_rating_before int,
    student_rating_after int,
    performance_score numeric(3, 2),
    completed boolean not null default false,
    completed_at timestamptz,
    overridden boolean not null default false,
    override_id uuid,
    assigned_at timestamptz not null default now(),
    created_at timestamptz not null default now(),

    constraint practice_assignments_student_id_fkey
        foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint practice_assignments_bank_item_id_fkey
        foreign key (bank_item_id) references public.practice_bank_items(id) on delete restrict,
    constraint practice_assignments_subject_id_fkey
        foreign key (subject_id) references public.subjects(id) on delete restrict,
    constraint practice_assignments_source_check check (
        case source
            when 'bank' then bank_item_id is not null and ai_question_text is null
            when 'ai_generated' then bank_item_id is null and ai_question_text is not null
        end
    ),
    constraint practice_assignments_ai_question_text_check check (char_length(ai_question_text) between 1 and 20000),
    constraint practice_assignments_difficulty_level_check check (difficulty_level between 1 and 10),
    constraint practice_assignments_performance_score_check check (performance_score between 0 and 1),
    constraint practice_assignments_completed_check check (
        completed = (completed_at is not null) and completed = (performance_score is not null)
    ),
    constraint practice_assignments_override_id_check check (override_id is null or overridden)
);

create index idx_pa_student on public.practice_assignments (student_id, subject_id, completed);
create index idx_pa_source on public.practice_assignments (source, assigned_at);
create index idx_pa_flagged on public.practice_assignments (assigned_at) where flagged;
-- for what a student still has to do
create index idx_pa_completed on public.practice_assignments (student_id, assigned_at) where not completed;
-- the newest of everybody, for staff
create index idx_practice_assignments_assigned_at on public.practice_assignments (assigned_at);
create index idx_practice_assignments_bank_item_id on public.practice_assignments (bank_item_id);
create index idx_practice_assignments_subject_id on public.practice_assignments (subject_id);
create index idx_practice_assignments_override_id on public.practice_assignments (override_id)
where override_id is not null;

-- Finds a caller's rows by student, also where they are asked for by date
-- (docs/decisions/0013-one-list-of-students.md).
alter table public.practice_assignments alter column student_id set (n_distinct = -0.1);

comment on table public.practice_assignments is 'Practice questions given to students, and their results.';
comment on column public.practice_assignments.id is 'Identity of the row.';
comment on column public.practice_assignments.student_id is 'The student.';
comment on column public.practice_assignments.source is 'Where the question comes from.';
comment on column public.practice_assignments.bank_item_id is 'The item of the bank.';
comment on column public.practice_assignments.bank_item_version is 'The version of the item that was asked.';
comment on column public.practice_assignments.ai_question_text is 'The question of the model.';
comment on column public.practice_assignments.flagged is
    'Waits for a tutor''s review; questions of the model begin flagged.';
comment on column public.practice_assignments.subject_id is 'The subject; without one nothing is rated.';
comment on column public.practice_assignments.difficulty_level is '1 to 10.';
comment on column public.practice_assignments.goal_tags is 'Goals it serves.';
comment on column public.practice_assignments.student_rating_before is 'The student''s rating before completion.';
comment on column public.practice_assignments.student_rating_after is 'The student''s rating after completion.';
comment on column public.practice_assignments.performance_score is '0 to 1; set on completion.';
comment on column public.practice_assignments.completed is 'Whether it is done; stays true.';
comment on column public.practice_assignments.completed_at is 'When it was done.';
comment on column public.practice_assignments.overridden is 'Whether a tutor corrected it.';
comment on column public.practice_assignments.override_id is 'The latest correction.';
comment on column public.practice_assignments.assigned_at is 'When it was given to the student.';
comment on column public.practice_assignments.created_at is 'When the row was written.';

create function private.practice_assignment_defaults()
returns trigger
language plpgsql
-- security definer, because the item must be found whatever the caller may see
security definer
set search_path = ''
as $$
declare
    v_item public.practice_bank_items;
begin
    if new.source = 'ai_generated' then
        new.flagged := true;
    elsif new.bank_item_id is not null then
        -- the lock keeps the version from changing before the row is stored
        select * into v_item from public.practice_bank_items where id = new.bank_item_id for share;
        -- when there is no item, the foreign key raises the error
        if found then
            new.subject_id := v_item.subject_id;
            new.difficulty_level := v_item.difficulty_level;
            new.bank_item_version := v_item.version;
            if new.goal_tags = '{}' then
                new.goal_tags := v_item.goal_tags;
            end if;
        end if;
    end if;
    return new;
end
$$;

comment on function private.practice_assignment_defaults() is
    'BEFORE INSERT on practice_assignments: copies subject, level, version and (if none are given) goal tags from the '
    'item. A question of the model begins flagged.';

create function private.refuse_inactive_item()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if exists (select from public.practice_bank_items where id = new.bank_item_id and not is_active) then
        raise exception 'the bank item is no longer active' using errcode = '23514',
            hint = 'Choose an active item of the bank.';
    end if;
    return null;
end
$$;

comment on function private.refuse_inactive_item() is
    'AFTER INSERT on practice_assignments: 23514 for an inactive item. A BEFORE trigger would answer ahead of row '
    'level security, and so tell strangers which items are inactive.';

create function private.keep_practice_completed()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if (new.completed, new.completed_at, new.performance_score)
        is distinct from (old.completed, old.completed_at, old.performance_score) then
        raise exception 'the practice is completed: its time and score cannot change' using errcode = '23514';
    end if;
    return new;
end
$$;

comment on function private.keep_practice_completed() is
    'BEFORE UPDATE of a completed practice assignment: refuses to change completion, time or score (23514).';

create trigger trg_practice_assignments_columns before update on public.practice_assignments
for each row execute function private.keep_columns('flagged');
create trigger trg_practice_assignments_completed before update on public.practice_assignments
for each row when (old.completed) execute function private.keep_practice_completed();
create trigger trg_practice_assignments_defaults before insert on public.practice_assignments
for each row execute function private.practice_assignment_defaults();
create trigger trg_practice_assignments_active after insert on public.practice_assignments
for each row when (new.bank_item_id is not null) execute function private.refuse_inactive_item();

-- What the policies of the practice bank ask about a student.

create function private.my_practice_items()
returns uuid[]
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    return array(
        select distinct bank_item_id from public.practice_assignments
        where student_id = private.caller_id() and bank_item_id is not null
    );
end
$$;

comment on function private.my_practice_items() is 'Bank items that were put to the caller.';

create function private.my_completed_items()
returns uuid[]
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    return array(
        select distinct bank_item_id from public.practice_assignments
        where student_id = private.caller_id() and bank_item_id is not null and completed
    );
end
$$;

comment on function private.my_completed_items() is
    'Ids of the bank items that the caller has completed and whose answers they may therefore read.';

-- The model's answer to a question it wrote, in a table of its own: students read it only after they completed the
-- question.

create table public.practice_assignment_answers (
    practice_assignment_id uuid primary key,
    ai_answer_text text not null,
    ai_explanation text,
    created_at timestamptz not null default now(),

    constraint practice_assignment_answers_practice_assignment_id_fkey
        foreign key (practice_assignment_id) references public.practice_assignments(id) on delete cascade,
    constraint practice_assignment_answers_ai_answer_text_check check (char_length(ai_answer_text) between 1 and 20000),
    constraint practice_assignment_answers_ai_explanation_check check (char_length(ai_explanation) <= 20000)
);

comment on table public.practice_assignment_answers is 'Answers to practice questions the model wrote.';
comment on column public.practice_assignment_answers.practice_assignment_id is 'The practice assignment.';
comment on column public.practice_assignment_answers.ai_answer_text is 'The answer.';
comment on column public.practice_assignment_answers.ai_explanation is 'Why it is right.';
comment on column public.practice_assignment_answers.created_at is 'When the row was written.';

-- A student's strength in a subject, on the Elo scale. Only update_student_rating and complete_practice_assignment
-- write it.

create table public.student_ratings (
    id uuid primary key default gen_random_uuid(),
    student_id uuid not null,
    subject_id uuid not null,
    rating int not null default 1000,
    last_updated timestamptz not null default now(),

    constraint student_ratings_student_id_fkey
        foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint student_ratings_subject_id_fkey
        foreign key (subject_id) references public.subjects(id) on delete restrict,
    constraint student_ratings_student_id_subject_id_key unique (student_id, subject_id),
    constraint student_ratings_rating_check check (rating between 100 and 3000)
);

create index idx_sr_student on public.student_ratings (student_id) include (subject_id, rating);
create index idx_sr_subject on public.student_ratings (subject_id);
create index idx_sr_rating on public.student_ratings (subject_id, rating);

comment on table public.student_ratings is 'Ratings of students, one per subject.';
comment on column public.student_ratings.id is 'Identity of the row.';
comment on column public.student_ratings.student_id is 'The student.';
comment on column public.student_ratings.subject_id is 'The subject.';
comment on column public.student_ratings.rating is 'Elo points, 100 to 3000.';
comment on column public.student_ratings.last_updated is 'When it last changed.';

-- A question that a student asked the companion, and the answer. The service writes it; apply_override corrects it.
-- Parents and staff do not read it. A tutor it was escalated to reads it while tutoring the student.

create table public.qa_interactions (
    id uuid primary key default gen_random_uuid(),
    student_id uuid not null,
    query text not null,
    answer text not null,
    confidence public.qa_confidence not null,
    confidence_score numeric(3, 2),
    context_subjects text[] not null default '{}',
    clarification_requested boolean not null default false,
    out_of_scope boolean not null default false,
    tutor_escalation_suggested boolean not null default false,
    escalated_to_tutor_id uuid,
    disclaimer_shown boolean not null default true,
    overridden boolean not null default false,
    override_id uuid,
    created_at timestamptz not null default now(),

    constraint qa_interactions_student_id_fkey
        foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint qa_interactions_escalated_to_tutor_id_fkey
        foreign key (escalated_to_tutor_id) references public.profiles(user_id) on delete set null,
    constraint qa_interactions_query_check check (char_length(query) between 1 and 20000),
    constraint qa_interactions_answer_check check (char_length(answer) <= 100000),
    constraint qa_interactions_confidence_score_check check (confidence_score between 0 and 1),
    constraint qa_interactions_override_id_check check (override_id is null or overridden)
);

create index idx_qa_student on public.qa_interactions (student_id, created_at desc) include (escalated_to_tutor_id);
-- Unsure answers are asked for by student. Under row level security a condition on an enum cannot drive an index, so
-- the condition is the index's own.
create index idx_qa_confidence on public.qa_interactions (student_id, created_at) where confidence = 'Low';
create index idx_qa_created on public.qa_interactions (created_at);
-- for what was escalated to a tutor
create index idx_qa_interactions_escalated_to_tutor_id on public.qa_interactions (escalated_to_tutor_id, student_id)
where escalated_to_tutor_id is not null;
create index idx_qa_interactions_override_id on public.qa_interactions (override_id) where override_id is not null;

-- Finds a caller's rows by student, also where they are asked for by date
-- (docs/decisions/0013-one-list-of-students.md).
alter table public.qa_interactions alter column student_id set (n_distinct = -0.1);

comment on table public.qa_interactions is 'Questions of students to the companion.';
comment on column public.qa_interactions.id is 'Identity of the row.';
comment on column public.qa_interactions.student_id is 'The student.';
comment on column public.qa_interactions.query is
    'The question. Untrusted: a model must never take it as instructions.';
comment on column public.qa_interactions.answer is 'The answer as shown.';
comment on column public.qa_interactions.confidence is 'How confident the companion was.';
comment on column public.qa_interactions.confidence_score is 'The same as a number, 0 to 1.';
comment on column public.qa_interactions.context_subjects is 'Names of the subjects it drew on.';
comment on column public.qa_interactions.clarification_requested is 'Whether the answer asked the student to clarify.';
comment on column public.qa_interactions.out_of_scope is 'Whether the question was outside the companion''s scope.';
comment on column public.qa_interactions.tutor_escalation_suggested is 'Whether a tutor was offered.';
comment on column public.qa_interactions.escalated_to_tutor_id is 'The tutor it was escalated to.';
comment on column public.qa_interactions.disclaimer_shown is 'Whether the student was told that a model answers.';
comment on column public.qa_interactions.overridden is 'Whether a tutor corrected it.';
comment on column public.qa_interactions.override_id is 'The latest correction.';
comment on column public.qa_interactions.created_at is 'When the row was written.';

-- What a tutor corrected, before and after. Only apply_override writes it, in the same transaction as the correction.
-- Nobody changes or deletes it. It stays when the tutor's account or the corrected row is deleted.

create table public.overrides (
    id uuid primary key default gen_random_uuid(),
    tutor_id uuid,
    student_id uuid not null,
    override_type public.override_type not null,
    action text not null,
    summary_id uuid,
    practice_assignment_id uuid,
    qa_interaction_id uuid,
    original_content jsonb not null default '{}',
    new_content jsonb not null default '{}',
    reason text,
    subject_id uuid,
    difficulty_level int,
    created_at timestamptz not null default now(),

    constraint overrides_tutor_id_fkey foreign key (tutor_id) references public.profiles(user_id) on delete set null,
    constraint overrides_student_id_fkey
        foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint overrides_summary_id_fkey foreign key (summary_id) references public.summaries(id) on delete set null,
    constraint overrides_practice_assignment_id_fkey
        foreign key (practice_assignment_id) references public.practice_assignments(id) on delete set null,
    constraint overrides_qa_interaction_id_fkey
        foreign key (qa_interaction_id) references public.qa_interactions(id) on delete set null,
    constraint overrides_subject_id_fkey foreign key (subject_id) references public.subjects(id) on delete restrict,
    constraint overrides_target_check check (
        num_nonnulls(summary_id, practice_assignment_id, qa_interaction_id) <= 1
        and (summary_id is null or override_type = 'summary')
        and (practice_assignment_id is null or override_type = 'practice')
        and (qa_interaction_id is null or override_type = 'qa_answer')
    ),
    constraint overrides_action_check check (char_length(action) between 1 and 200),
    constraint overrides_original_content_check check (jsonb_typeof(original_content) = 'object'),
    constraint overrides_new_content_check check (jsonb_typeof(new_content) = 'object'),
    constraint overrides_reason_check check (char_length(reason) <= 5000),
    constraint overrides_difficulty_level_check check (difficulty_level between 1 and 10)
);

create index idx_overrides_tutor on public.overrides (tutor_id, student_id);
create index idx_overrides_student on public.overrides (student_id);
create index idx_overrides_type on public.overrides (override_type);
create index idx_overrides_created on public.overrides (created_at);
create index idx_overrides_subject on public.overrides (subject_id);
create index idx_overrides_summary on public.overrides (summary_id) where summary_id is not null;
create index idx_overrides_practice_assignment on public.overrides (practice_assignment_id)
where practice_assignment_id is not null;
create index idx_overrides_qa_interaction on public.overrides (qa_interaction_id) where qa_interaction_id is not null;

-- Finds a caller's rows by student, also where they are asked for by date
-- (docs/decisions/0013-one-list-of-students.md).
alter table public.overrides alter column student_id set (n_distinct = -0.1);

comment on table public.overrides is 'Corrections by tutors of what the companion wrote.';
comment on column public.overrides.id is 'Identity of the row.';
comment on column public.overrides.tutor_id is 'Who corrected it; null when that account is deleted.';
comment on column public.overrides.student_id is 'Whose row was corrected.';
comment on column public.overrides.override_type is 'What kind of row.';
comment on column public.overrides.action is 'What the tutor did, in the tutor''s words.';
comment on column public.overrides.summary_id is
    'The corrected summary; null when it is deleted or the target is another.';
comment on column public.overrides.practice_assignment_id is
    'The corrected practice assignment; null when it is deleted or the target is another.';
comment on column public.overrides.qa_interaction_id is
    'The corrected answer; null when it is deleted or the target is another.';
comment on column public.overrides.original_content is 'The corrected keys as they were.';
comment on column public.overrides.new_content is 'The same keys as they are now.';
comment on column public.overrides.reason is 'Why.';
comment on column public.overrides.subject_id is 'The target''s subject, for analytics.';
comment on column public.overrides.difficulty_level is 'The target''s difficulty before, for analytics.';
comment on column public.overrides.created_at is 'When the row was written.';

-- an override and its target point at each other, so either can be deleted first
alter table public.summaries
add constraint summaries_override_id_fkey foreign key (override_id) references public.overrides(id) on delete set null;
alter table public.practice_assignments
add constraint practice_assignments_override_id_fkey
    foreign key (override_id) references public.overrides(id) on delete set null;
alter table public.qa_interactions
add constraint qa_interactions_override_id_fkey
    foreign key (override_id) references public.overrides(id) on delete set null;

create function private.check_override_target()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_student_id uuid;
begin
    if num_nonnulls(new.summary_id, new.practice_assignment_id, new.qa_interaction_id) <> 1 then
        raise exception 'exactly one of summary_id, practice_assignment_id and qa_interaction_id must be given'
            using errcode = '23514';
    end if;
    select student_id into v_student_id from public.summaries where id = new.summary_id
    union all
    select student_id from public.practice_assignments where id = new.practice_assignment_id
    union all
    select student_id from public.qa_interactions where id = new.qa_interaction_id;
    -- when the target does not exist, the foreign key raises the error
    if found and v_student_id <> new.student_id then
        raise exception 'the target belongs to another student' using errcode = '23514';
    end if;
    return new;
end
$$;

comment on function private.check_override_target() is
    'BEFORE INSERT on overrides: requires exactly one target, of the same student (23514). A check constraint would '
    'forbid deleting the target later.';

create trigger trg_overrides_audit after insert or update or delete on public.overrides
for each row execute function private.audit(
    'id', 'student_id', 'tutor_id', 'override_type', 'action', 'summary_id', 'practice_assignment_id',
    'qa_interaction_id'
);
create trigger trg_overrides_target before insert on public.overrides
for each row execute function private.check_override_target();

-- Elo ratings. K is 32 for students and 8 for items. Ratings are integers from 100 to 3000, rounded once, at the end,
-- half away from zero. Lock order: practice assignment, rating, item; otherwise two calls could deadlock.

create function private.elo_expected(p_rating int, p_question_rating int)
returns numeric
language sql
immutable
set search_path = ''
as $$
    select 1 / (1 + power(10::numeric, (least(greatest(p_question_rating, 100), 3000) - p_rating) / 400.0));
$$;

comment on function private.elo_expected(int, int) is
    'The chance, between 0 and 1, that a student of the first rating answers a question of the second.';

create function private.elo_moved(p_rating int, p_change numeric)
returns int
language sql
immutable
set search_path = ''
as $$
    select least(greatest(round(p_rating + p_change), 100), 3000)::int;
$$;

comment on function private.elo_moved(int, numeric) is
    'A rating after a change, rounded half away from zero and kept from 100 to 3000.';

create function public.update_student_rating(
    p_student_id uuid,
    p_subject_id uuid,
    p_question_rating int,
    p_performance_score numeric
)
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_rating int;
begin
    if num_nulls(p_student_id, p_subject_id, p_question_rating, p_performance_score) > 0 then
        raise exception 'p_student_id, p_subject_id, p_question_rating and p_performance_score must not be null'
            using errcode = '22004';
    end if;
    perform private.check_number('p_performance_score', p_performance_score, 0, 1);
    insert into public.student_ratings (student_id, subject_id) values (p_student_id, p_subject_id)
    on conflict (student_id, subject_id) do nothing;
    -- parallel calls wait here, so that each begins with what the one before stored
    select rating into v_rating from public.student_ratings
    where student_id = p_student_id and subject_id = p_subject_id for update;
    v_rating := private.elo_moved(
        v_rating, 32 * (p_performance_score - private.elo_expected(v_rating, p_question_rating))
    );
    update public.student_ratings set rating = v_rating, last_updated = private.clock()
    where student_id = p_student_id and subject_id = p_subject_id;
    return v_rating;
end
$$;

comment on function public.update_student_rating(uuid, uuid, int, numeric) is
    'Changes a student''s rating in a subject by one scored answer and returns it. A first answer begins with 1000. '
    '22004 for a missing argument, 22003 for a score outside 0 to 1.';

create function public.complete_practice_assignment(p_assignment_id uuid, p_performance_score numeric)
returns public.practice_assignments
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_practice public.practice_assignments;
    v_before int;
    v_after int;
    v_question int;
begin
    if p_assignment_id is null or p_performance_score is null then
        raise exception 'p_assignment_id and p_performance_score must not be null' using errcode = '22004';
    end if;
    select * into v_practice from public.practice_assignments where id = p_assignment_id for update;
    if not found then
        raise exception 'no practice assignment has the id in p_assignment_id' using errcode = 'PT404';
    end if;
    -- it was completed before and is not rated twice
    if v_practice.completed then
        return v_practice;
    end if;
    perform private.check_number('p_performance_score', p_performance_score, 0, 1);

    if v_practice.subject_id is not null then
        insert into public.student_ratings (student_id, subject_id)
        values (v_practice.student_id, v_practice.subject_id)
        on conflict (student_id, subject_id) do nothing;
        select rating into v_before from public.student_ratings
        where student_id = v_practice.student_id and subject_id = v_practice.subject_id for update;
        if v_practice.source = 'bank' then
            select elo_rating into v_question from public.practice_bank_items
            where id = v_practice.bank_item_id for no key update;
        else
            v_question := 450 + 100 * coalesce(v_practice.difficulty_level, 5);
        end if;
        v_after := public.update_student_rating(
            v_practice.student_id, v_practice.subject_id, v_question, p_performance_score
        );
        if v_practice.source = 'bank' then
            update public.practice_bank_items
            set elo_rating = private.elo_moved(
                v_question, 8 * (private.elo_expected(v_before, v_question) - p_performance_score)
            )
            where id = v_practice.bank_item_id;
        end if;
    end if;

    update public.practice_assignments set
        completed = true,
        completed_at = private.clock(),
        performance_score = p_performance_score,
        student_rating_before = v_before,
        student_rating_after = v_after
    where id = p_assignment_id
    returning * into v_practice;
    return v_practice;
end
$$;

comment on function public.complete_practice_assignment(uuid, numeric) is
    'Completes a practice assignment with a score, once: rates student and bank item, both by the ratings before, and '
    'returns the row. A second call returns it unchanged. Without a subject nothing is rated.';

-- A tutor corrects what the companion wrote. Snapshot, override and correction are one transaction; readers see the new
-- text with the commit. One function a kind of target, each in the same steps: right, content, snapshot, correction.
-- The right is part of the query that locks the target. So a row of somebody else's student is never locked, and the
-- answer does not tell it from a row that does not exist.

create function private.check_override_keys(p_content jsonb, p_allowed text[])
returns void
language plpgsql
immutable
set search_path = ''
as $$
begin
    if jsonb_typeof(p_content) <> 'object' or p_content = '{}' or p_content - p_allowed <> '{}' then
        raise exception 'p_new_content must be an object with some of the keys %', array_to_string(p_allowed, ', ')
            using errcode = '22023';
    end if;
end
$$;

comment on function private.check_override_keys(jsonb, text[]) is
    '22023 unless the content is an object of at least one key, all of them allowed.';

create function private.override_text(p_content jsonb, p_key text, p_limit int)
returns text
language plpgsql
immutable
set search_path = ''
as $$
begin
    if not p_content ? p_key then
        return null;
    end if;
    if jsonb_typeof(p_content -> p_key) <> 'string' or btrim(p_content ->> p_key) = ''
        or char_length(p_content ->> p_key) > p_limit then
        raise exception 'p_new_content.% must be a text of 1 to % characters', p_key, p_limit using errcode = '22023';
    end if;
    return p_content ->> p_key;
end
$$;

comment on function private.override_text(jsonb, text, int) is
    'The text under a key of p_new_content, null without the key; 22023 when it is no text, blank or too long.';

create function private.record_override(p_override public.overrides, p_before jsonb)
returns public.overrides
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_override public.overrides;
begin
    insert into public.overrides (
        tutor_id, student_id, override_type, action, summary_id, practice_assignment_id, qa_interaction_id,
        original_content, new_content, reason, subject_id, difficulty_level
    )
    values (
        p_override.tutor_id, p_override.student_id, p_override.override_type, p_override.action, p_override.summary_id,
        p_override.practice_assignment_id, p_override.qa_interaction_id,
        (select jsonb_object_agg(key, value) from jsonb_each(p_before) where p_override.new_content ? key),
        p_override.new_content, p_override.reason, p_override.subject_id, p_override.difficulty_level
    )
    returning * into v_override;
    return v_override;
end
$$;

comment on function private.record_override(public.overrides, jsonb) is
    'Stores an override and, of the values before, those of the keys that it changes.';

create function private.override_summary(p_target_id uuid, p_override public.overrides)
returns public.overrides
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_new constant jsonb := p_override.new_content;
    v_summary public.summaries;
begin
    select * into v_summary from public.summaries
    where id = p_target_id and private.tutors(student_id, subject_id) for no key update;
    if not found then
        raise exception 'only an active tutor of the student in this subject may correct this' using errcode = '42501';
    end if;
    perform private.check_override_keys(v_new, '{narrative,next_steps}');
    perform private.override_text(v_new, 'narrative', 50000);
    if jsonb_typeof(v_new -> 'next_steps') <> 'array'
        or jsonb_path_exists(v_new, '$.next_steps[*].type() ? (@ != "string")') then
        raise exception 'p_new_content.next_steps must be a list of texts' using errcode = '22023';
    end if;

    p_override.student_id := v_summary.student_id;
    p_override.summary_id := p_target_id;
    p_override.subject_id := v_summary.subject_id;
    p_override := private.record_override(
        p_override, jsonb_build_object('narrative', v_summary.narrative, 'next_steps', v_summary.next_steps)
    );
    update public.summaries set
        narrative = coalesce(v_new ->> 'narrative', narrative),
        next_steps = case
            when v_new ? 'next_steps' then array(select jsonb_array_elements_text(v_new -> 'next_steps'))
            else next_steps
        end,
        overridden = true,
        override_id = p_override.id
    where id = p_target_id;
    return p_override;
end
$$;

comment on function private.override_summary(uuid, public.overrides) is
    'Corrects narrative or next_steps of a summary, for a tutor of its student in its subject.';

create function private.override_bank_practice(p_practice public.practice_assignments, p_override public.overrides)
returns public.overrides
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_item public.practice_bank_items;
begin
    perform private.check_override_keys(p_override.new_content, '{bank_item_id}');
    begin
        -- the lock keeps the version true until the end of the transaction
        select * into v_item from public.practice_bank_items
        where id = private.override_text(p_override.new_content, 'bank_item_id', 36)::uuid for share;
    exception when invalid_text_representation then
        raise exception 'p_new_content.bank_item_id must be an id' using errcode = '22023';
    end;
    if v_item.id is null then
        raise exception 'p_new_content.bank_item_id names no item of the bank' using errcode = '22023';
    end if;
    if not v_item.is_active or v_item.subject_id is distinct from p_practice.subject_id then
        raise exception 'the item must be active and of the same subject' using errcode = '23514';
    end if;

    p_override := private.record_override(p_override, jsonb_build_object('bank_item_id', p_practice.bank_item_id));
    update public.practice_assignments set
        bank_item_id = v_item.id,
        bank_item_version = v_item.version,
        difficulty_level = v_item.difficulty_level,
        flagged = false,
        overridden = true,
        override_id = p_override.id
    where id = p_practice.id;
    return p_override;
end
$$;

comment on function private.override_bank_practice(public.practice_assignments, public.overrides) is
    'Puts another active item of the same subject in place of the one that was assigned.';

create function private.override_ai_practice(p_practice public.practice_assignments, p_override public.overrides)
returns public.overrides
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_new constant jsonb := p_override.new_content;
    v_answer public.practice_assignment_answers;
begin
    perform private.check_override_keys(
        v_new, '{ai_question_text,ai_answer_text,ai_explanation,difficulty_level}'
    );
    perform private.override_text(v_new, 'ai_question_text', 20000);
    perform private.override_text(v_new, 'ai_answer_text', 20000);
    -- null takes the explanation away
    if v_new -> 'ai_explanation' <> 'null' then
        perform private.override_text(v_new, 'ai_explanation', 20000);
    end if;
    if v_new ? 'difficulty_level'
        and v_new -> 'difficulty_level' not in ('1', '2', '3', '4', '5', '6', '7', '8', '9', '10')
    then
        raise exception 'p_new_content.difficulty_level must be a whole number from 1 to 10' using errcode = '22023';
    end if;
    select * into v_answer from public.practice_assignment_answers where practice_assignment_id = p_practice.id;
    if not found and v_new ? 'ai_explanation' and not v_new ? 'ai_answer_text' then
        raise exception 'there is no answer to explain yet: send p_new_content.ai_answer_text too'
            using errcode = '22023';
    end if;

    p_override := private.record_override(p_override, jsonb_build_object(
        'ai_question_text', p_practice.ai_question_text,
        'ai_answer_text', v_answer.ai_answer_text,
        'ai_explanation', v_answer.ai_explanation,
        'difficulty_level', p_practice.difficulty_level
    ));
    update public.practice_assignments set
        ai_question_text = coalesce(v_new ->> 'ai_question_text', ai_question_text),
        difficulty_level = coalesce((v_new ->> 'difficulty_level')::numeric::int, difficulty_level),
        flagged = false,
        overridden = true,
        override_id = p_override.id
    where id = p_practice.id;
    if v_new ?| '{ai_answer_text,ai_explanation}' then
        insert into public.practice_assignment_answers (practice_assignment_id, ai_answer_text, ai_explanation)
        values (
            p_practice.id,
            coalesce(v_new ->> 'ai_answer_text', v_answer.ai_answer_text),
            case when v_new ? 'ai_explanation' then v_new ->> 'ai_explanation' else v_answer.ai_explanation end
        )
        on conflict (practice_assignment_id) do update set
            ai_answer_text = excluded.ai_answer_text, ai_explanation = excluded.ai_explanation;
    end if;
    return p_override;
end
$$;

comment on function private.override_ai_practice(public.practice_assignments, public.overrides) is
    'Corrects question, answer, explanation or difficulty of a question that the model wrote.';

create function private.override_practice(p_target_id uuid, p_override public.overrides)
returns public.overrides
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_practice public.practice_assignments;
begin
    select * into v_practice from public.practice_assignments
    where id = p_target_id and private.tutors(student_id, subject_id) for no key update;
    if not found then
        raise exception 'only an active tutor of the student in this subject may correct this' using errcode = '42501';
    end if;
    if v_practice.completed then
        raise exception 'this practice is completed' using errcode = '23514';
    end if;
    p_override.student_id := v_practice.student_id;
    p_override.practice_assignment_id := p_target_id;
    p_override.subject_id := v_practice.subject_id;
    p_override.difficulty_level := v_practice.difficulty_level;
    if v_practice.source = 'bank' then
        return private.override_bank_practice(v_practice, p_override);
    end if;
    return private.override_ai_practice(v_practice, p_override);
end
$$;

comment on function private.override_practice(uuid, public.overrides) is
    'Corrects an open practice assignment, for a tutor of its student in its subject.';

create function private.override_qa_answer(p_target_id uuid, p_override public.overrides)
returns public.overrides
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_new constant jsonb := p_override.new_content;
    v_qa public.qa_interactions;
begin
    select * into v_qa from public.qa_interactions
    where id = p_target_id
        and (
            private.tutors(student_id, null)
            or (escalated_to_tutor_id = p_override.tutor_id and private.tutors_any(student_id))
        )
    for no key update;
    if not found then
        raise exception 'only an active tutor in all subjects, or the one it was handed to, may correct this'
            using errcode = '42501';
    end if;
    perform private.check_override_keys(v_new, '{answer,confidence}');
    perform private.override_text(v_new, 'answer', 100000);
    if v_new ? 'confidence' and v_new -> 'confidence' not in ('"High"', '"Medium"', '"Low"') then
        raise exception 'p_new_content.confidence must be High, Medium or Low' using errcode = '22023';
    end if;

    p_override.student_id := v_qa.student_id;
    p_override.qa_interaction_id := p_target_id;
    p_override := private.record_override(
        p_override, jsonb_build_object('answer', v_qa.answer, 'confidence', v_qa.confidence)
    );
    update public.qa_interactions set
        answer = coalesce(v_new ->> 'answer', answer),
        confidence = coalesce((v_new ->> 'confidence')::public.qa_confidence, confidence),
        overridden = true,
        override_id = p_override.id
    where id = p_target_id;
    return p_override;
end
$$;

comment on function private.override_qa_answer(uuid, public.overrides) is
    'Corrects an answer or its confidence, for a tutor in all subjects or the one it was handed to.';

create function private.apply_override(
    p_type text,
    p_target_id uuid,
    p_action text,
    p_new_content jsonb,
    p_reason text
)
returns public.overrides
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_override public.overrides;
begin
    v_override.tutor_id := private.require_caller();
    if num_nulls(p_type, p_target_id, p_action, p_new_content) > 0 then
        raise exception 'p_type, p_target_id, p_action and p_new_content are required' using errcode = '22004';
    end if;
    if p_type not in ('summary', 'practice', 'qa_answer') then
        raise exception 'p_type must be summary, practice or qa_answer' using errcode = '22023';
    end if;
    if char_length(p_action) not between 1 and 200 then
        raise exception 'p_action must have 1 to 200 characters' using errcode = '22023';
    end if;
    if char_length(p_reason) > 5000 then
        raise exception 'p_reason must have at most 5000 characters' using errcode = '22023';
    end if;
    v_override.override_type := p_type::public.override_type;
    v_override.action := p_action;
    v_override.new_content := p_new_content;
    v_override.reason := p_reason;
    if p_type = 'summary' then
        return private.override_summary(p_target_id, v_override);
    elsif p_type = 'practice' then
        return private.override_practice(p_target_id, v_override);
    end if;
    return private.override_qa_answer(p_target_id, v_override);
end
$$;

comment on function private.apply_override(text, uuid, text, jsonb, text) is 'Behind public.apply_override().';

create function public.apply_override(
    p_type text,
    p_target_id uuid,
    p_action text,
    p_new_content jsonb,
    p_reason text default null
)
returns public.overrides
language sql
volatile
set search_path = ''
begin atomic
    select private.apply_override(p_type, p_target_id, p_action, p_new_content, p_reason);
end;

comment on function public.apply_override(text, uuid, text, jsonb, text) is
    'Corrects a summary {narrative, next_steps}, a practice question of the bank {bank_item_id} or of the model '
    '{ai_question_text, ai_answer_text, ai_explanation, difficulty_level}, or an answer {answer, confidence}, and '
    'records the override. For active tutors of the student in the row''s subject; 42501 for any other target, '
    'existing or not. 22023 for empty or other keys, 23514 for a completed practice.';

-- Figures that are derived from other rows and stored in user_stats, because front ends read them often.

create function public.refresh_user_stats(p_user_id uuid)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_analytics jsonb;
    v_gamification jsonb;
begin
    if p_user_id is null then
        raise exception 'p_user_id must not be null' using errcode = '22004';
    end if;
    -- two refreshes of one person run one after the other, so that the later one stores the later figures
    perform from public.user_stats where user_id = p_user_id for update;
    if not found then
        raise exception 'no person has the id in p_user_id' using errcode = 'PT404';
    end if;

    select jsonb_build_object(
        'override_count', (select count(*) from public.overrides where student_id = p_user_id),
        'confidence_distribution', (
            select jsonb_build_object(
                'High', coalesce(
                    round(100.0 * count(*) filter (where confidence = 'High') / nullif(count(*), 0), 2), 0
                ),
                'Medium', coalesce(
                    round(100.0 * count(*) filter (where confidence = 'Medium') / nullif(count(*), 0), 2), 0
                ),
                'Low', coalesce(
                    round(100.0 * count(*) filter (where confidence = 'Low') / nullif(count(*), 0), 2), 0
                )
            )
            from public.qa_interactions where student_id = p_user_id
        ),
        'nudge_engagement', (
            select jsonb_build_object(
                'opened', coalesce(round(100.0 * count(opened_at) / nullif(count(*), 0), 2), 0),
                'clicked', coalesce(round(100.0 * count(clicked_at) / nullif(count(*), 0), 2), 0)
            )
            from public.nudges where user_id = p_user_id and sent_at is not null
        )
    ) into v_analytics;
    select jsonb_build_object(
        'xp', coalesce(sum(xp_earned), 0), 'streaks', coalesce(max(current_streak), 0)
    ) into v_gamification
    from public.goals where student_id = p_user_id;

    update public.user_stats
    set analytics = analytics || v_analytics, gamification = gamification || v_gamification
    where user_id = p_user_id;
end
$$;

comment on function public.refresh_user_stats(uuid) is
    'Recomputes override_count, confidence_distribution and nudge_engagement (percentages, 0 for none) of analytics, '
    'and xp and streaks of gamification; other keys stay.';

-- Analytics, computed when read. All run with the reader's rights: a view shows what the reader's policies show.

create view public.v_student_progress with (security_invoker = true) as
select
    g.student_id,
    g.id as goal_id,
    s.name as subject_name,
    g.completion_percentage,
    g.current_streak,
    g.xp_earned,
    g.status,
    g.target_completion_date,
    -- scalar subqueries, because a join of sessions with practice would multiply the counts
    (
        select count(*) from public.tutoring_sessions as x
        where
            x.student_id = g.student_id
            and (g.subject_id is null or x.subject_id = g.subject_id)
            and x.session_date <= now()
    ) as sessions_count,
    (
        select count(*) from public.practice_assignments as x
        where x.student_id = g.student_id and (g.subject_id is null or x.subject_id = g.subject_id) and x.completed
    ) as practice_items_completed,
    (
        select round(avg(x.rating), 2) from public.student_ratings as x
        where x.student_id = g.student_id and (g.subject_id is null or x.subject_id = g.subject_id)
    ) as average_rating
from public.goals as g
left join public.subjects as s on s.id = g.subject_id
where g.status = 'active';

comment on view public.v_student_progress is
    'One row per active goal with the work on it: sessions held, practice completed and average rating, in the '
    'goal''s subject or, without one, in all. Whoever sees the goal sees every row that is counted.';
comment on column public.v_student_progress.student_id is 'The student.';
comment on column public.v_student_progress.goal_id is 'The active goal.';
comment on column public.v_student_progress.subject_name is 'Its subject; null for a goal across subjects.';
comment on column public.v_student_progress.completion_percentage is 'How much is achieved, 0 to 100.';
comment on column public.v_student_progress.current_streak is 'Consecutive days of work on it.';
comment on column public.v_student_progress.xp_earned is 'Points earned by it.';
comment on column public.v_student_progress.status is 'Always active.';
comment on column public.v_student_progress.target_completion_date is 'The day by which to achieve it.';
comment on column public.v_student_progress.sessions_count is 'Sessions held so far.';
comment on column public.v_student_progress.practice_items_completed is 'Practice completed.';
comment on column public.v_student_progress.average_rating is 'Mean rating, two digits; null without any.';

create view public.v_override_analytics with (security_invoker = true) as
select
    o.override_type,
    o.subject_id,
    s.name as subject_name,
    o.difficulty_level,
    count(*) as override_count,
    count(distinct o.tutor_id) as unique_tutors,
    count(distinct o.student_id) as unique_students,
    (o.created_at at time zone 'UTC')::date as override_date
from public.overrides as o
left join public.subjects as s on s.id = o.subject_id
group by o.override_type, o.subject_id, s.name, o.difficulty_level, (o.created_at at time zone 'UTC')::date;

comment on view public.v_override_analytics is
    'Overrides per UTC day, type, subject and difficulty. Tutors see those of their students and their own; staff see '
    'all. Deleted accounts of tutors are not counted.';
comment on column public.v_override_analytics.override_type is 'What was corrected.';
comment on column public.v_override_analytics.subject_id is 'Its subject.';
comment on column public.v_override_analytics.subject_name is 'Name of the subject; names may repeat, ids do not.';
comment on column public.v_override_analytics.difficulty_level is 'Difficulty before the correction.';
comment on column public.v_override_analytics.override_count is 'The number of corrections.';
comment on column public.v_override_analytics.unique_tutors is 'The number of different tutors who corrected.';
comment on column public.v_override_analytics.unique_students is 'The number of different students concerned.';
comment on column public.v_override_analytics.override_date is 'Day, UTC.';

create view public.v_confidence_distribution with (security_invoker = true) as
select
    c.student_id,
    c.confidence,
    c.count,
    round(100.0 * c.count / sum(c.count) over (partition by c.student_id), 2) as percentage
from (
    select q.student_id, q.confidence, count(*) as count
    from public.qa_interactions as q
    group by q.student_id, q.confidence
) as c;

comment on view public.v_confidence_distribution is
    'How confident the companion''s answers were, per student and level; a level without answers has no row. Complete '
    'for the student and for tutors of all subjects; other tutors see only the questions that were escalated to them.';
comment on column public.v_confidence_distribution.student_id is 'The student.';
comment on column public.v_confidence_distribution.confidence is 'The level.';
comment on column public.v_confidence_distribution.count is 'Answers of that level.';
comment on column public.v_confidence_distribution.percentage is 'Share of all answers of the student, two digits.';

-- What this room tidies. Called by svc_purge_expired (90_platform).

create function private.purge_tutoring()
returns jsonb
language sql
volatile
security definer
set search_path = ''
as $$
    -- access stopped with the day; this makes the state say so
    with ended as (
        update public.tutor_student_assignments set status = 'completed'
        where status in ('active', 'paused') and end_date < private.today()
        returning 1
    )
    select jsonb_build_object('assignments_ended', count(*)) from ended;
$$;

comment on function private.purge_tutoring() is 'Ends assignments whose last day is over; how many, by name.';
