-- An answer in words that waits for the model. The text is here because a job's payload holds ids only. The row goes
-- with the recording of the answer.

create table private.practice_submissions (
    practice_assignment_id uuid primary key,
    student_id uuid not null,
    idempotency_key text not null,
    answer text not null,
    duration_ms int,
    answered_at timestamptz not null,
    job_id uuid,
    created_at timestamptz not null default now(),

    constraint practice_submissions_practice_assignment_id_fkey
        foreign key (practice_assignment_id) references public.practice_assignments(id) on delete cascade,
    constraint practice_submissions_student_id_fkey
        foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint practice_submissions_answer_check check (char_length(answer) between 1 and 10000),
    constraint practice_submissions_student_id_idempotency_key_key unique (student_id, idempotency_key)
);

comment on table private.practice_submissions is 'Answers in words that wait to be graded.';
comment on column private.practice_submissions.practice_assignment_id is 'What was answered.';
comment on column private.practice_submissions.student_id is 'The student.';
comment on column private.practice_submissions.idempotency_key is 'The key of the request.';
comment on column private.practice_submissions.answer is 'What the student answered.';
comment on column private.practice_submissions.duration_ms is 'How long they took, in milliseconds.';
comment on column private.practice_submissions.answered_at is 'When they answered.';
comment on column private.practice_submissions.job_id is 'The job that grades it.';
comment on column private.practice_submissions.created_at is 'When the row was written.';

create function private.has_waiting_answer(p_assignment_id uuid)
returns boolean
-- plpgsql, because the queue is made in a later room
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    return exists (
        select from private.practice_submissions as s
        inner join public.jobs as j on j.id = s.job_id
        where s.practice_assignment_id = p_assignment_id and j.status in ('queued', 'running')
    );
end
$$;

comment on function private.has_waiting_answer(uuid) is
    'Whether an answer in words is being graded; one whose job failed or was cancelled may be given again.';
