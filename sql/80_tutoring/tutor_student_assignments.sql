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
