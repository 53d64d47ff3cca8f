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
