-- Every answer to practice, and every correction by a tutor: the log that ratings, ability and points are computed
-- from. Rows are added and never deleted alone; seq is taken while the student's row in user_stats is locked, so its
-- order is the order in which the student's answers counted. A correction is a row of its own that names the answer in
-- corrects_id. private.replay_practice() then writes the columns from is_rated to rating_after of the answers again.

create table public.practice_attempts (
    id uuid primary key default gen_random_uuid(),
    seq bigint generated always as identity,
    student_id uuid not null,
    practice_assignment_id uuid not null,
    corrects_id uuid,
    subject_id uuid,
    bank_item_id uuid,
    item_version int,
    answer text,
    raw_score numeric(4, 3),
    score numeric(4, 3),
    graded_by public.practice_grader not null,
    feedback text,
    confidence numeric(3, 2),
    hints_used smallint not null default 0,
    duration_ms int,
    idempotency_key text not null,
    answered_at timestamptz not null,
    recorded_at timestamptz not null,
    is_first boolean not null default false,
    is_on_time boolean not null default false,
    is_rated boolean not null default false,
    question_rating int,
    guess double precision,
    b_before double precision,
    item_variance_before double precision,
    expected double precision,
    theta_before double precision,
    variance_before double precision,
    theta_after double precision,
    variance_after double precision,
    rating_before int,
    rating_after int,
    outcome jsonb not null default '{}',
    created_at timestamptz not null default now(),

    constraint practice_attempts_student_id_fkey
        foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint practice_attempts_practice_assignment_id_fkey
        foreign key (practice_assignment_id) references public.practice_assignments(id) on delete cascade,
    constraint practice_attempts_corrects_id_fkey
        foreign key (corrects_id) references public.practice_attempts(id) on delete cascade,
    constraint practice_attempts_subject_id_fkey
        foreign key (subject_id) references public.subjects(id) on delete restrict,
    constraint practice_attempts_bank_item_id_fkey
        foreign key (bank_item_id) references public.practice_bank_items(id) on delete restrict,
    constraint practice_attempts_seq_key unique (seq),
    constraint practice_attempts_student_id_idempotency_key_key unique (student_id, idempotency_key),
    constraint practice_attempts_answer_check check (char_length(answer) between 1 and 10000),
    constraint practice_attempts_correction_check check (
        case
            when corrects_id is null then answer is not null
            else answer is null and score is not null and graded_by = 'tutor' and not is_first and not is_rated
        end
    ),
    constraint practice_attempts_raw_score_check check (raw_score between 0 and 1),
    constraint practice_attempts_score_check check (score between 0 and 1),
    constraint practice_attempts_feedback_check check (char_length(feedback) <= 5000),
    constraint practice_attempts_confidence_check check (confidence between 0 and 1),
    constraint practice_attempts_hints_used_check check (hints_used between 0 and 3),
    constraint practice_attempts_duration_ms_check check (duration_ms between 0 and 86400000),
    constraint practice_attempts_idempotency_key_check check (char_length(idempotency_key) between 8 and 255),
    constraint practice_attempts_is_rated_check check (is_first or not is_rated),
    constraint practice_attempts_outcome_check check (jsonb_typeof(outcome) = 'object')
);

-- an item version is rated once a student, whatever happens
create unique index uq_practice_attempts_first on public.practice_attempts (student_id, bank_item_id, item_version)
where is_first;
-- for the replay of a student's chain in a subject
create index idx_practice_attempts_chain on public.practice_attempts (student_id, subject_id, seq);
create index idx_practice_attempts_practice_assignment_id on public.practice_attempts (practice_assignment_id);
create index idx_practice_attempts_corrects_id on public.practice_attempts (corrects_id) where corrects_id is not null;
create index idx_practice_attempts_bank_item_id on public.practice_attempts (bank_item_id);
create index idx_practice_attempts_subject_id on public.practice_attempts (subject_id);
-- for the nightly look at a day's errors
create index idx_practice_attempts_recorded_at on public.practice_attempts (recorded_at) where is_rated;

-- Finds a caller's rows by student, also where they are asked for by date
-- (docs/decisions/0013-one-list-of-students.md).
alter table public.practice_attempts alter column student_id set (n_distinct = -0.1);

comment on table public.practice_attempts is
    'Answers to practice, in the order in which they counted, and corrections.';
comment on column public.practice_attempts.id is 'Identity of the row.';
comment on column public.practice_attempts.seq is 'The order in which the answers of one student counted.';
comment on column public.practice_attempts.student_id is 'The student.';
comment on column public.practice_attempts.practice_assignment_id is 'What was answered.';
comment on column public.practice_attempts.corrects_id is
    'The answer whose score a tutor gave here; null for an answer.';
comment on column public.practice_attempts.subject_id is 'The subject of the assignment.';
comment on column public.practice_attempts.bank_item_id is 'The item of the bank; null for a question of the model.';
comment on column public.practice_attempts.item_version is 'The version that was answered.';
comment on column public.practice_attempts.answer is 'What the student answered; null for a correction.';
comment on column public.practice_attempts.raw_score is 'The score before hints capped it.';
comment on column public.practice_attempts.score is '0 to 1, three digits; null while it is withheld.';
comment on column public.practice_attempts.graded_by is 'Who graded it.';
comment on column public.practice_attempts.feedback is 'What the grader says about it.';
comment on column public.practice_attempts.confidence is 'How sure the model was of its score, 0 to 1.';
comment on column public.practice_attempts.hints_used is 'How many hints were read before.';
comment on column public.practice_attempts.duration_ms is
    'How long the student took, as the client says, in milliseconds.';
comment on column public.practice_attempts.idempotency_key is 'The key of the request; the same key counts once.';
comment on column public.practice_attempts.answered_at is
    'When it was answered; earlier than recorded_at when offline.';
comment on column public.practice_attempts.recorded_at is 'When it counted.';
comment on column public.practice_attempts.is_first is
    'The first answer of the student to this version of the item; only such answers move ratings.';
comment on column public.practice_attempts.is_on_time is 'A review on the day it was due, or the day after.';
comment on column public.practice_attempts.is_rated is 'Whether it moved ratings: a first answer with a score.';
comment on column public.practice_attempts.question_rating is 'The Elo rating of the question before.';
comment on column public.practice_attempts.guess is 'The chance of a right guess: one over the number of choices.';
comment on column public.practice_attempts.b_before is 'The difficulty of the item before, in logits.';
comment on column public.practice_attempts.item_variance_before is
    'How uncertain that difficulty was, in square logits.';
comment on column public.practice_attempts.expected is 'The chance of success that was expected.';
comment on column public.practice_attempts.theta_before is 'The student''s ability before, in logits.';
comment on column public.practice_attempts.variance_before is 'How uncertain it was, in square logits.';
comment on column public.practice_attempts.theta_after is 'The student''s ability after, in logits.';
comment on column public.practice_attempts.variance_after is 'How uncertain it was then, in square logits.';
comment on column public.practice_attempts.rating_before is 'The student''s Elo rating before.';
comment on column public.practice_attempts.rating_after is 'The student''s Elo rating after.';
comment on column public.practice_attempts.outcome is
    'What else the answer gave: xp, streak, goal_progress, next_review_at, as the student was told.';
comment on column public.practice_attempts.created_at is 'When the row was written.';

create view private.graded_attempts with (security_invoker = true) as
select
    a.id,
    a.seq,
    a.student_id,
    a.practice_assignment_id,
    a.subject_id,
    a.bank_item_id,
    a.item_version,
    a.is_first,
    a.is_on_time,
    a.duration_ms,
    coalesce(c.score, a.score) as score
from public.practice_attempts as a
left join lateral (
    select x.score from public.practice_attempts as x where x.corrects_id = a.id order by x.seq desc limit 1
) as c on true
where a.corrects_id is null;

comment on view private.graded_attempts is 'Answers with the score that counts: the last correction, else their own.';
comment on column private.graded_attempts.id is 'The answer.';
comment on column private.graded_attempts.seq is 'The order in which the answers of one student counted.';
comment on column private.graded_attempts.student_id is 'The student.';
comment on column private.graded_attempts.practice_assignment_id is 'What was answered.';
comment on column private.graded_attempts.subject_id is 'The subject.';
comment on column private.graded_attempts.bank_item_id is 'The item of the bank.';
comment on column private.graded_attempts.item_version is 'The version that was answered.';
comment on column private.graded_attempts.is_first is 'The first answer to this version of the item.';
comment on column private.graded_attempts.is_on_time is 'A review on time.';
comment on column private.graded_attempts.duration_ms is 'How long the student took, in milliseconds.';
comment on column private.graded_attempts.score is 'The score that counts, null while it is withheld.';
