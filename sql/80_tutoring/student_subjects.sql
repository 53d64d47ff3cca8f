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
