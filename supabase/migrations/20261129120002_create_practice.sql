-- Practice: attempts as a log, ability and difficulty, reviews, hints, points, streaks and goals with targets; picking,
-- recording and grading of answers, and the nightly re-centring of items.
-- Touches: public.job_type, public.profiles, public.goals, public.practice_bank_items, public.practice_bank_answers,
--   public.practice_assignments, public.student_ratings, v_student_progress, refresh_user_stats, apply_override,
--   complete_practice_assignment, and what is new in 80_tutoring.
-- Undo: drop the new tables, functions and columns, put the old functions and the view back; the enum values stay.

set lock_timeout = '5s';

alter type public.job_type add value 'practice_grading';
alter type public.job_type add value 'practice_calibration';

create type public.practice_answer_kind as enum ('text', 'exact', 'numeric', 'choice');
comment on type public.practice_answer_kind is
    'How an answer is graded. text: by the model against the reference. exact: equal words. numeric: an equal number, '
    'within the tolerance. choice: the same choice.';

create type public.practice_grader as enum ('rule', 'model', 'tutor');
comment on type public.practice_grader is 'Who graded an answer.';

create type public.practice_review_state as enum ('none', 'needs_review', 'reviewed');
comment on type public.practice_review_state is
    'none: nothing to review. needs_review: the score is withheld until a tutor gives it. reviewed: a tutor did.';

create type public.goal_target as enum ('answers', 'minutes', 'sessions');
comment on type public.goal_target is
    'What a goal counts: answers given, minutes of answering, or tutoring sessions held.';

create type public.activity_kind as enum ('active', 'freeze');
comment on type public.activity_kind is
    'Why a day counts for a streak: the student worked, or a freeze was used for it.';

create type public.freeze_kind as enum ('earned', 'used');
comment on type public.freeze_kind is 'What happened to a freeze on a day.';

alter table public.profiles
add column pending_timezone text,
add column timezone_changed_at timestamptz;
comment on column public.profiles.pending_timezone is
    'The new time zone, until it also decides which day an answer counts for; see timezone_changed_at.';
comment on column public.profiles.timezone_changed_at is
    'From when on a new zone decides which day an answer counts for: a local midnight, at most once in seven days.';

create function private.next_midnight(p_at timestamptz, p_zone text)
returns timestamptz
language sql
stable
set search_path = ''
as $$
    select (date_trunc('day', p_at at time zone p_zone) + interval '1 day') at time zone p_zone;
$$;

comment on function private.next_midnight(timestamptz, text) is 'When the next day begins in a zone.';

create or replace function private.check_timezone()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if tg_op = 'UPDATE' and new.timezone = old.timezone then
        return new;
    end if;
    if not private.is_timezone(new.timezone) then
        raise exception 'unknown time zone' using errcode = '23514', hint = 'Use an IANA name such as Europe/Berlin.';
    end if;
    if tg_op = 'UPDATE' and new.user_id = private.caller_id() then
        new.timezone_source := 'person';
    end if;
    if tg_op = 'UPDATE' then
        -- times are shown in the new zone at once; a day of a streak ends where it began
        new.pending_timezone := new.timezone;
        if old.pending_timezone is null or old.timezone_changed_at <= private.clock() then
            new.timezone_changed_at := private.next_midnight(
                greatest(private.clock(), old.timezone_changed_at + interval '7 days'),
                private.streak_zone(new.user_id, private.clock())
            );
        end if;
    end if;
    return new;
end
$$;

comment on function private.check_timezone() is
    'BEFORE INSERT OR UPDATE OF timezone on profiles: only zones the database can compute with, else 23514. A zone '
    'that the person changes has the source person. For streaks a new zone counts from the next local midnight, at '
    'most once in seven days.';

alter table public.goals
add column target_count int,
add column target_kind public.goal_target,
add constraint goals_target_count_check check (target_count between 1 and 1000000),
add constraint goals_target_kind_check check ((target_kind is null) = (target_count is null));
comment on column public.goals.target_count is
    'How much to do; completion_percentage then follows from the work. Null: progress is set by hand.';
comment on column public.goals.target_kind is 'What target_count counts.';

comment on column public.goals.current_streak is
    'Consecutive days of work on it, as the last answer wrote it; v_student_progress computes that of now.';
comment on column public.goals.xp_earned is 'Points earned by it: the sum of its rows in private.xp_events.';

drop trigger trg_goals_columns on public.goals;
create trigger trg_goals_columns before update on public.goals
for each row execute function private.keep_columns(
    'subject_id', 'goal_type', 'title', 'description', 'target_completion_date', 'target_count', 'target_kind', 'status'
);

alter table public.practice_bank_items
add column answer_kind public.practice_answer_kind not null default 'text',
add column choices text[],
add column tolerance numeric,
add column language text not null default 'en',
add constraint practice_bank_items_choices_check check (
        case
            when answer_kind = 'choice' then choices is not null and cardinality(choices) between 2 and 8
            else choices is null
        end
        and array_position(choices, null) is null
    ),
add constraint practice_bank_items_tolerance_check check (
        tolerance is null or (answer_kind = 'numeric' and tolerance >= 0 and tolerance < 'infinity')
    ),
add constraint practice_bank_items_language_check check (language ~ '^[a-z]{2}$');
comment on column public.practice_bank_items.answer_kind is 'How its answers are graded.';
comment on column public.practice_bank_items.choices is
    'What may be chosen, 2 to 8 texts; only for answer_kind choice.';
comment on column public.practice_bank_items.tolerance is
    'How far a number may be from the right one, in the unit of the answer; only for answer_kind numeric.';
comment on column public.practice_bank_items.language is
    'Two letters, such as en or de; decides whether 1,234 has thousands or decimals.';

create or replace function private.practice_item_defaults()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if tg_op = 'INSERT' then
        new.elo_rating := coalesce(new.elo_rating, 450 + 100 * new.difficulty_level);
    elsif (new.question_text, new.answer_kind, new.choices, new.tolerance)
        is distinct from (old.question_text, old.answer_kind, old.choices, old.tolerance) then
        new.version := old.version + 1;
    end if;
    return new;
end
$$;

comment on function private.practice_item_defaults() is
    'BEFORE INSERT OR UPDATE on practice_bank_items: a new item begins with the rating of its level (1: 550, 10: '
    '1450). A change of the question, or of how it is graded, raises the version.';

drop trigger trg_practice_bank_items_columns on public.practice_bank_items;
create trigger trg_practice_bank_items_columns before update on public.practice_bank_items
for each row execute function private.keep_columns(
    'question_text', 'subject_id', 'difficulty_level', 'goal_tags', 'topic_tags', 'answer_kind', 'choices', 'tolerance',
    'language', 'is_active'
);

alter table public.practice_bank_answers
add column accepted_answers text[] not null default '{}',
add constraint practice_bank_answers_accepted_answers_check check (
        cardinality(accepted_answers) <= 50 and array_position(accepted_answers, null) is null
    );
comment on column public.practice_bank_answers.accepted_answers is 'Other answers that are right, too.';

drop trigger trg_practice_bank_answers_columns on public.practice_bank_answers;
create trigger trg_practice_bank_answers_columns before update on public.practice_bank_answers
for each row execute function private.keep_columns('answer_text', 'explanation', 'accepted_answers');

drop trigger trg_practice_bank_answers_version on public.practice_bank_answers;
create trigger trg_practice_bank_answers_version after update of answer_text, explanation, accepted_answers
on public.practice_bank_answers
for each row when (
    (old.answer_text, old.explanation, old.accepted_answers)
    is distinct from (new.answer_text, new.explanation, new.accepted_answers)
)
execute function private.raise_item_version();

alter table public.practice_assignments
add column answer_kind public.practice_answer_kind not null default 'text',
add column choices text[],
add column goal_id uuid,
add column is_review boolean not null default false,
add column out_of_zone boolean not null default false,
add column expected_success double precision,
add column pick_seed bigint,
add column hints_used smallint not null default 0,
add column review_state public.practice_review_state not null default 'none',
add constraint practice_assignments_goal_id_fkey
        foreign key (goal_id) references public.goals(id) on delete set null,
add constraint practice_assignments_choices_check check (
        (answer_kind = 'choice') = (choices is not null) and cardinality(choices) between 2 and 8
        and array_position(choices, null) is null
    ),
add constraint practice_assignments_expected_success_check check (expected_success between 0 and 1),
add constraint practice_assignments_hints_used_check check (hints_used between 0 and 3),
add constraint practice_assignments_review_state_check check (not (completed and review_state = 'needs_review'));
comment on column public.practice_assignments.answer_kind is 'How the answer is graded.';
comment on column public.practice_assignments.choices is 'What may be chosen; only for answer_kind choice.';
comment on column public.practice_assignments.goal_id is 'The student''s goal that it counts for.';
comment on column public.practice_assignments.is_review is 'Whether the item was answered before and is due again.';
comment on column public.practice_assignments.out_of_zone is
    'The expected success lay outside .65 to .85 when it was chosen.';
comment on column public.practice_assignments.expected_success is
    'The chance of a right answer when it was chosen; null when a tutor chose it.';
comment on column public.practice_assignments.pick_seed is 'The number that the random part of the choice came from.';
comment on column public.practice_assignments.hints_used is 'How many hints were read; any caps the score at one half.';
comment on column public.practice_assignments.review_state is 'Whether a tutor must give, or gave, the score.';

alter table public.practice_assignments alter column performance_score type numeric(4, 3);

create index idx_practice_assignments_goal_id on public.practice_assignments (goal_id) where goal_id is not null;

create index idx_practice_assignments_needs_review on public.practice_assignments (assigned_at)
where review_state = 'needs_review';

create or replace function private.practice_assignment_defaults()
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
            new.answer_kind := v_item.answer_kind;
            new.choices := v_item.choices;
            if new.goal_tags = '{}' then
                new.goal_tags := v_item.goal_tags;
            end if;
        end if;
    end if;
    return new;
end
$$;

comment on function private.practice_assignment_defaults() is
    'BEFORE INSERT on practice_assignments: copies subject, level, version, kind, choices and (if none are given) '
    'goal tags from the item. A question of the model begins flagged.';

create function private.corrected_score(p_assignment_id uuid)
returns numeric
-- plpgsql, because the log of attempts is made later
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    return (
        select a.score from public.practice_attempts as a
        where a.practice_assignment_id = p_assignment_id and a.corrects_id is not null
        order by a.seq desc limit 1
    );
end
$$;

comment on function private.corrected_score(uuid) is 'The score that a tutor last gave to an assignment, null without.';

create or replace function private.keep_practice_completed()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    -- a tutor's correction is in the log of attempts before the score follows it
    if (new.completed, new.completed_at) is distinct from (old.completed, old.completed_at)
        or new.performance_score is distinct from old.performance_score
        and new.performance_score is distinct from private.corrected_score(old.id) then
        raise exception 'the practice is completed: its time and score cannot change' using errcode = '23514';
    end if;
    return new;
end
$$;

comment on function private.keep_practice_completed() is
    'BEFORE UPDATE of a completed practice assignment: refuses to change completion or time, or the score to another '
    'than a tutor gave (23514).';

alter table public.student_ratings
add column ability double precision,
add column ability_sd double precision,
add column answers int not null default 0,
add constraint student_ratings_ability_check check ((ability is null) = (ability_sd is null)),
add constraint student_ratings_answers_check check (answers >= 0);
comment on column public.student_ratings.ability is
    'Estimated strength in points, 1000 for the average; null before the first rated answer.';
comment on column public.student_ratings.ability_sd is
    'How uncertain ability is, in points; above 100 the estimate is still being calibrated.';
comment on column public.student_ratings.answers is 'Answers that moved ability.';

create function private.complete_practice(p_assignment_id uuid, p_performance_score numeric, p_is_rated boolean)
returns public.practice_assignments
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_practice public.practice_assignments;
    v_score numeric;
    v_before int;
    v_after int;
    v_question int;
begin
    select * into v_practice from public.practice_assignments where id = p_assignment_id for update;
    if not found then
        raise exception 'no practice assignment has the id in p_assignment_id' using errcode = 'PT404';
    end if;
    -- it was completed before and is not rated twice
    if v_practice.completed then
        return v_practice;
    end if;
    perform private.check_number('p_performance_score', p_performance_score, 0, 1);
    v_score := round(p_performance_score, 3);

    if v_practice.subject_id is not null then
        insert into public.student_ratings (student_id, subject_id)
        values (v_practice.student_id, v_practice.subject_id)
        on conflict (student_id, subject_id) do nothing;
        select rating into v_before from public.student_ratings
        where student_id = v_practice.student_id and subject_id = v_practice.subject_id for update;
        v_after := v_before;
    end if;
    if v_practice.subject_id is not null and p_is_rated then
        if v_practice.source = 'bank' then
            select elo_rating into v_question from public.practice_bank_items
            where id = v_practice.bank_item_id for no key update;
        else
            v_question := 450 + 100 * coalesce(v_practice.difficulty_level, 5);
        end if;
        v_after := public.update_student_rating(
            v_practice.student_id, v_practice.subject_id, v_question, v_score
        );
        if v_practice.source = 'bank' then
            update public.practice_bank_items
            set elo_rating = private.elo_moved(
                v_question, 8 * (private.elo_expected(v_before, v_question) - v_score)
            )
            where id = v_practice.bank_item_id;
        end if;
    end if;

    update public.practice_assignments set
        completed = true,
        completed_at = private.clock(),
        performance_score = v_score,
        student_rating_before = v_before,
        student_rating_after = v_after
    where id = p_assignment_id
    returning * into v_practice;
    return v_practice;
end
$$;

comment on function private.complete_practice(uuid, numeric, boolean) is
    'Completes a practice assignment once. Unless p_is_rated, the rating after is the rating before and nothing else '
    'moves.';

create or replace function public.complete_practice_assignment(p_assignment_id uuid, p_performance_score numeric)
returns public.practice_assignments
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if p_assignment_id is null or p_performance_score is null then
        raise exception 'p_assignment_id and p_performance_score must not be null' using errcode = '22004';
    end if;
    return private.complete_practice(p_assignment_id, p_performance_score, true);
end
$$;

comment on function public.complete_practice_assignment(uuid, numeric) is
    'Completes a practice assignment with a score, rounded to three digits, once: rates student and bank item, both '
    'by the ratings before, and returns the row. A second call returns it unchanged. Without a subject nothing is '
    'rated.';

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

-- The estimate of ability behind the choice of practice: a logistic model whose steps shrink as it learns. theta and b
-- are logits; a point is 400 / ln 10 = 173.72 points a logit, and 1000 points are zero.

create table private.practice_ability (
    student_id uuid not null,
    subject_id uuid not null,
    theta double precision not null default 0,
    variance double precision not null default 1,
    answers int not null default 0,
    last_answer_at timestamptz,

    constraint practice_ability_pkey primary key (student_id, subject_id),
    constraint practice_ability_student_id_fkey
        foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint practice_ability_subject_id_fkey
        foreign key (subject_id) references public.subjects(id) on delete restrict,
    constraint practice_ability_variance_check check (variance > 0)
);

create index idx_practice_ability_subject_id on private.practice_ability (subject_id);

comment on table private.practice_ability is 'How able a student is in a subject, and how sure that is.';
comment on column private.practice_ability.student_id is 'The student.';
comment on column private.practice_ability.subject_id is 'The subject.';
comment on column private.practice_ability.theta is 'Ability in logits; a new student has 0.';
comment on column private.practice_ability.variance is 'How uncertain it is, in square logits; a new student has 1.';
comment on column private.practice_ability.answers is 'Rated answers so far.';
comment on column private.practice_ability.last_answer_at is 'When the last one counted.';

create table private.item_calibration (
    item_id uuid primary key,
    item_version int not null,
    b double precision not null,
    b_initial double precision not null,
    variance double precision not null,
    variance_initial double precision not null,
    answers int not null default 0,

    constraint item_calibration_item_id_fkey
        foreign key (item_id) references public.practice_bank_items(id) on delete cascade,
    constraint item_calibration_variance_check check (variance > 0 and variance_initial > 0)
);

comment on table private.item_calibration is 'How hard a bank item is, and how sure that is.';
comment on column private.item_calibration.item_id is 'The item.';
comment on column private.item_calibration.item_version is 'The version that the answers were to.';
comment on column private.item_calibration.b is 'Difficulty in logits.';
comment on column private.item_calibration.b_initial is 'What it began with, from the item''s Elo rating.';
comment on column private.item_calibration.variance is 'How uncertain it is, in square logits.';
comment on column private.item_calibration.variance_initial is
    'What it began with: .5 for an item of staff or a tutor, 1 without an author.';
comment on column private.item_calibration.answers is 'Rated answers to this version.';

create table private.calibration_log (
    id bigint generated always as identity primary key,
    subject_id uuid not null,
    shift double precision not null,
    items int not null,
    answers int not null,
    mean_error double precision,
    ability_sd double precision,
    students int not null,
    alarms text[] not null default '{}',
    created_at timestamptz not null default now(),

    constraint calibration_log_subject_id_fkey
        foreign key (subject_id) references public.subjects(id) on delete cascade
);

create index idx_calibration_log_subject_id on private.calibration_log (subject_id, created_at);

comment on table private.calibration_log is 'What the nightly re-centring of each subject did and saw.';
comment on column private.calibration_log.id is 'Identity of the row.';
comment on column private.calibration_log.subject_id is 'The subject.';
comment on column private.calibration_log.shift is
    'What was taken from the difficulty of every active item, in logits.';
comment on column private.calibration_log.items is 'Active items.';
comment on column private.calibration_log.answers is 'Rated answers of the last 24 hours.';
comment on column private.calibration_log.mean_error is 'Their mean of score minus expected score.';
comment on column private.calibration_log.ability_sd is 'Spread of the students'' abilities, in points.';
comment on column private.calibration_log.students is 'Students with an ability.';
comment on column private.calibration_log.alarms is
    'error: mean_error is outside -.03 to .03. spread: ability_sd grew by a tenth in 30 days without new students.';
comment on column private.calibration_log.created_at is 'When it ran.';

create function private.points_per_logit()
returns double precision
language sql
immutable
set search_path = ''
as $$
    select 400 / ln(10::double precision);
$$;

comment on function private.points_per_logit() is 'How many Elo points are one logit: 173.72.';

create function private.expected_success(p_theta double precision, p_b double precision, p_guess double precision)
returns double precision
language sql
immutable
set search_path = ''
as $$
    -- beyond 20 logits the exponential would under- or overflow in what is computed from it
    select p_guess + (1 - p_guess) / (1 + exp(greatest(-20, least(20, p_b - p_theta))));
$$;

comment on function private.expected_success(double precision, double precision, double precision) is
    'The chance that a student of ability p_theta answers an item of difficulty p_b (both logits) that guessing '
    'solves with the chance p_guess.';

create function private.ability_step(
    p_theta double precision,
    p_variance double precision,
    p_idle_days double precision,
    p_b double precision,
    p_item_variance double precision,
    p_guess double precision,
    p_score double precision,
    out expected double precision,
    out theta double precision,
    out variance double precision,
    out b double precision,
    out item_variance double precision
)
language plpgsql
immutable
set search_path = ''
as $$
declare
    v_logistic constant double precision := 1 / (1 + exp(greatest(-20, least(20, p_b - p_theta))));
    v_slope constant double precision := (1 - p_guess) * v_logistic * (1 - v_logistic);
    v_gain double precision;
begin
    expected := p_guess + (1 - p_guess) * v_logistic;
    v_gain := v_slope / (expected * (1 - expected));
    -- both sides learn from what was known before, each as far as it was uncertain
    variance := least(1, p_variance + 0.002 * p_idle_days) + 0.002;
    variance := variance / (1 + variance * v_slope * v_gain);
    theta := p_theta + variance * v_gain * (p_score - expected);
    item_variance := p_item_variance / (1 + p_item_variance * v_slope * v_gain);
    b := p_b - item_variance * v_gain * (p_score - expected);
end
$$;

comment on function private.ability_step(
    double precision, double precision, double precision, double precision, double precision, double precision,
    double precision
) is
    'One rated answer: the chance of success that was expected, and ability and difficulty afterwards, with their '
    'variances. p_idle_days are whole days since the last answer; they make ability uncertain again.';

create function private.idle_days(p_from timestamptz, p_to timestamptz)
returns double precision
language sql
immutable
set search_path = ''
as $$
    select greatest(0, floor(extract(epoch from coalesce(p_to - p_from, interval '0')) / 86400))::double precision;
$$;

comment on function private.idle_days(timestamptz, timestamptz) is 'Whole periods of 24 hours between two answers.';

create function private.calibrated_item(p_item public.practice_bank_items)
returns private.item_calibration
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_row private.item_calibration;
    v_initial constant double precision := case when p_item.created_by is null then 1.0 else 0.5 end;
begin
    insert into private.item_calibration (item_id, item_version, b, b_initial, variance, variance_initial)
    select p_item.id, p_item.version, x.b, x.b, v_initial, v_initial
    from (select (p_item.elo_rating - 1000) / private.points_per_logit() as b) as x
    on conflict (item_id) do nothing;
    select * into v_row from private.item_calibration where item_id = p_item.id for update;
    if v_row.item_version <> p_item.version then
        -- an edited item is about as hard as it was, but that is a guess again
        update private.item_calibration
        set item_version = p_item.version, variance = greatest(variance, variance_initial), answers = 0
        where item_id = p_item.id
        returning * into v_row;
    end if;
    return v_row;
end
$$;

comment on function private.calibrated_item(public.practice_bank_items) is
    'The difficulty of an item, locked; made from its Elo rating at first. A new version is as uncertain as a new '
    'item.';

create function public.svc_recenter_items()
returns table (subject_id uuid, shift double precision, alarms text[])
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_subject uuid;
    v_log private.calibration_log;
    v_then private.calibration_log;
begin
    for v_subject in
        select distinct i.subject_id from public.practice_bank_items as i where i.is_active order by 1
    loop
        -- in the order of ids, and items before their calibration, as answers lock them one by one
        perform private.calibrated_item(i) from (
            select * from public.practice_bank_items as x
            where x.subject_id = v_subject and x.is_active order by x.id for no key update
        ) as i;
        select avg(c.b - c.b_initial), count(*) into v_log.shift, v_log.items
        from private.item_calibration as c
        inner join public.practice_bank_items as i on i.id = c.item_id
        where i.subject_id = v_subject and i.is_active;
        update private.item_calibration as c set b = c.b - v_log.shift
        from public.practice_bank_items as i
        where i.id = c.item_id and i.subject_id = v_subject and i.is_active;

        select count(*), avg(g.score - a.expected) into v_log.answers, v_log.mean_error
        from public.practice_attempts as a
        inner join private.graded_attempts as g on g.id = a.id
        where a.subject_id = v_subject and a.is_rated and a.recorded_at > private.clock() - interval '1 day';
        select coalesce(stddev_samp(p.theta), 0) * private.points_per_logit(), count(*)
        into v_log.ability_sd, v_log.students
        from private.practice_ability as p where p.subject_id = v_subject and p.answers > 0;
        select * into v_then from private.calibration_log as l
        where l.subject_id = v_subject and l.created_at <= private.clock() - interval '30 days'
        order by l.created_at desc limit 1;
        v_log.alarms := array_remove(array[
            case when abs(v_log.mean_error) > 0.03 then 'error' end,
            case
                when v_then.ability_sd > 0 and v_log.students <= v_then.students
                    and v_log.ability_sd > 1.1 * v_then.ability_sd then 'spread'
            end
        ], null);
        insert into private.calibration_log (
            subject_id, shift, items, answers, mean_error, ability_sd, students, alarms, created_at
        )
        values (
            v_subject, v_log.shift, v_log.items, v_log.answers, v_log.mean_error, v_log.ability_sd, v_log.students,
            v_log.alarms, private.clock()
        );
        subject_id := v_subject;
        shift := v_log.shift;
        alarms := v_log.alarms;
        return next;
    end loop;
end
$$;

comment on function public.svc_recenter_items() is
    'Takes the mean drift of each subject''s active items from all of them, so that items do not absorb what students '
    'learn. Logs shift and alarms, and returns them.';

-- When a student should answer a bank item again. The service computes the row with the package fsrs and
-- svc_record_answer writes it in the transaction of the answer.

create table public.practice_reviews (
    student_id uuid not null,
    bank_item_id uuid not null,
    subject_id uuid not null,
    state smallint not null,
    step smallint,
    stability double precision not null,
    difficulty double precision not null,
    due_at timestamptz not null,
    last_review_at timestamptz not null,
    reps int not null default 1,
    lapses int not null default 0,
    scheduler_version text not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint practice_reviews_pkey primary key (student_id, bank_item_id),
    constraint practice_reviews_student_id_fkey
        foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint practice_reviews_bank_item_id_fkey
        foreign key (bank_item_id) references public.practice_bank_items(id) on delete cascade,
    constraint practice_reviews_subject_id_fkey
        foreign key (subject_id) references public.subjects(id) on delete restrict,
    constraint practice_reviews_state_check check (state between 1 and 3),
    constraint practice_reviews_stability_check check (stability > 0 and stability < 'infinity'),
    constraint practice_reviews_difficulty_check check (difficulty between 1 and 10),
    constraint practice_reviews_due_at_check check (due_at >= last_review_at and due_at < '10000-01-01 00:00:00+00'),
    constraint practice_reviews_reps_check check (reps >= 1 and lapses >= 0),
    constraint practice_reviews_scheduler_version_check check (char_length(scheduler_version) between 1 and 50)
);

create index idx_practice_reviews_due on public.practice_reviews (student_id, due_at);
create index idx_practice_reviews_bank_item_id on public.practice_reviews (bank_item_id);
create index idx_practice_reviews_subject_id on public.practice_reviews (subject_id);

comment on table public.practice_reviews is 'When a student should answer a bank item again.';
comment on column public.practice_reviews.student_id is 'The student.';
comment on column public.practice_reviews.bank_item_id is 'The item.';
comment on column public.practice_reviews.subject_id is 'The subject of the item.';
comment on column public.practice_reviews.state is 'Of the scheduler: 1 learning, 2 review, 3 relearning.';
comment on column public.practice_reviews.step is 'Of the scheduler; null in review.';
comment on column public.practice_reviews.stability is 'Days until nine of ten such items are still remembered.';
comment on column public.practice_reviews.difficulty is '1 (easy) to 10, for this student.';
comment on column public.practice_reviews.due_at is 'When it is due.';
comment on column public.practice_reviews.last_review_at is 'When it was last answered.';
comment on column public.practice_reviews.reps is 'How often it was answered.';
comment on column public.practice_reviews.lapses is 'How often a known item was forgotten.';
comment on column public.practice_reviews.scheduler_version is 'The package and version that computed it.';
comment on column public.practice_reviews.created_at is 'When the row was written.';
comment on column public.practice_reviews.updated_at is 'When the row last changed; kept by trigger.';

create trigger trg_practice_reviews_updated_at before update on public.practice_reviews
for each row execute function public.set_updated_at();

create function private.put_review(
    p_student_id uuid, p_bank_item_id uuid, p_review jsonb, p_seen timestamptz, p_is_pass boolean
)
returns timestamptz
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_old public.practice_reviews;
    v_new constant public.practice_reviews := jsonb_populate_record(null::public.practice_reviews, p_review);
begin
    select * into v_old from public.practice_reviews
    where student_id = p_student_id and bank_item_id = p_bank_item_id for update;
    if v_old.last_review_at is distinct from p_seen then
        raise exception 'the review changed since it was read' using errcode = 'PT409',
            hint = 'Read it again, compute the next one and call again.';
    end if;
    insert into public.practice_reviews (
        student_id, bank_item_id, subject_id, state, step, stability, difficulty, due_at, last_review_at,
        scheduler_version
    )
    values (
        p_student_id, p_bank_item_id,
        (select i.subject_id from public.practice_bank_items as i where i.id = p_bank_item_id),
        v_new.state, v_new.step, v_new.stability, v_new.difficulty, v_new.due_at, v_new.last_review_at,
        v_new.scheduler_version
    )
    on conflict (student_id, bank_item_id) do update set
        state = excluded.state,
        step = excluded.step,
        stability = excluded.stability,
        difficulty = excluded.difficulty,
        due_at = excluded.due_at,
        last_review_at = excluded.last_review_at,
        scheduler_version = excluded.scheduler_version,
        reps = v_old.reps + 1,
        lapses = v_old.lapses + case when p_is_pass then 0 else 1 end;
    return v_new.due_at;
end
$$;

comment on function private.put_review(uuid, uuid, jsonb, timestamptz, boolean) is
    'Stores the next review that was computed from the one of p_seen (null: from none). PT409 when it is another now.';

-- Hints that a student read, so that asking again shows the same ones. Only svc functions read and write them.

create table private.practice_hints (
    practice_assignment_id uuid not null,
    level smallint not null,
    hint text not null,
    created_at timestamptz not null default now(),

    constraint practice_hints_pkey primary key (practice_assignment_id, level),
    constraint practice_hints_practice_assignment_id_fkey
        foreign key (practice_assignment_id) references public.practice_assignments(id) on delete cascade,
    constraint practice_hints_level_check check (level between 1 and 3),
    constraint practice_hints_hint_check check (char_length(hint) between 1 and 2000)
);

comment on table private.practice_hints is 'Hints to practice that was given to students.';
comment on column private.practice_hints.practice_assignment_id is 'The practice.';
comment on column private.practice_hints.level is '1 says least, 3 says most.';
comment on column private.practice_hints.hint is 'The hint, which never contains the answer.';
comment on column private.practice_hints.created_at is 'When the row was written.';

create function public.svc_store_hint(p_student_id uuid, p_assignment_id uuid, p_level int, p_hint text)
returns table (hint text, level int)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_practice public.practice_assignments;
begin
    if num_nulls(p_student_id, p_assignment_id, p_level, p_hint) > 0 then
        raise exception 'p_student_id, p_assignment_id, p_level and p_hint must not be null' using errcode = '22004';
    end if;
    perform private.check_number('p_level', p_level, 1, 3);
    select * into v_practice from public.practice_assignments
    where id = p_assignment_id and student_id = p_student_id for update;
    if not found then
        raise exception 'this student has no practice with the id in p_assignment_id' using errcode = 'PT404';
    end if;
    if v_practice.completed or v_practice.review_state = 'needs_review' then
        raise exception 'this practice is answered' using errcode = 'PT409';
    end if;
    insert into private.practice_hints as h (practice_assignment_id, level, hint)
    values (p_assignment_id, p_level, p_hint)
    on conflict (practice_assignment_id, level) do nothing;
    update public.practice_assignments set hints_used = greatest(hints_used, p_level) where id = p_assignment_id;
    return query
    select h.hint, h.level::int from private.practice_hints as h
    where h.practice_assignment_id = p_assignment_id and h.level = p_level;
end
$$;

comment on function public.svc_store_hint(uuid, uuid, int, text) is
    'Keeps a hint and counts it as read; of two at once the first stays, and both get it. PT404 for practice of '
    'others, PT409 when it is answered.';

create function public.svc_get_hints(p_student_id uuid, p_assignment_id uuid)
returns table (level int, hint text)
language sql
stable
security definer
set search_path = ''
as $$
    select h.level::int, h.hint
    from private.practice_hints as h
    inner join public.practice_assignments as a on a.id = h.practice_assignment_id
    where a.id = p_assignment_id and a.student_id = p_student_id
    order by h.level;
$$;

comment on function public.svc_get_hints(uuid, uuid) is 'The hints that a student read about one of their assignments.';

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

-- Points of students, event by event. Totals are sums; a correction is a row of its own, negative when points were too
-- many. The rules have a version, so that a change of the rules never changes what was given.

create table private.xp_events (
    id bigint generated always as identity primary key,
    student_id uuid not null,
    goal_id uuid,
    source_type text not null,
    source_id text not null,
    rule_version int not null default 1,
    amount int not null,
    created_at timestamptz not null default now(),

    constraint xp_events_student_id_fkey foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint xp_events_goal_id_fkey foreign key (goal_id) references public.goals(id) on delete set null,
    constraint xp_events_student_id_source_type_source_id_rule_version_key
        unique (student_id, source_type, source_id, rule_version),
    constraint xp_events_source_type_check check (source_type in ('practice', 'practice_correction')),
    constraint xp_events_amount_check check (amount <> 0)
);

create index idx_xp_events_goal_id on private.xp_events (goal_id) where goal_id is not null;

comment on table private.xp_events is 'Points of students, append-only.';
comment on column private.xp_events.id is 'Identity of the row.';
comment on column private.xp_events.student_id is 'The student.';
comment on column private.xp_events.goal_id is 'The goal that they count for; null without, or when it was deleted.';
comment on column private.xp_events.source_type is 'practice: an answer. practice_correction: a tutor''s correction.';
comment on column private.xp_events.source_id is 'The row of practice_attempts.';
comment on column private.xp_events.rule_version is 'The rules it was given by.';
comment on column private.xp_events.amount is 'Points; negative takes away.';
comment on column private.xp_events.created_at is 'When the row was written.';

create function private.practice_xp(p_student_id uuid, p_bank_item_id uuid, p_assignment_id uuid)
returns table (attempt_id uuid, amount int)
language sql
stable
security definer
set search_path = ''
as $$
    -- each answer of one version of an item, or of one question of the model, with its place among them
    with answers as (
        select
            g.id,
            g.seq,
            g.is_on_time,
            row_number() over (partition by g.item_version order by g.seq) as place,
            min(g.seq) filter (where g.score >= 0.6) over (partition by g.item_version) as passed
        from private.graded_attempts as g
        where g.student_id = p_student_id
            and (
                g.bank_item_id = p_bank_item_id
                or (p_bank_item_id is null and g.practice_assignment_id = p_assignment_id)
            )
    )
    select
        a.id,
        case when a.seq = a.passed then 10 when a.place = 1 then 2 when a.is_on_time then 5 else 0 end
    from answers as a;
$$;

comment on function private.practice_xp(uuid, uuid, uuid) is
    'What the answers to an item, or to a question of the model, are worth: 10 for the first that passes (a score of '
    '.6 or more), 2 for a first one that does not, 5 for a review on time.';

create function private.add_xp(
    p_student_id uuid, p_goal_id uuid, p_source_type text, p_source_id text, p_amount int
)
returns void
language sql
volatile
security definer
set search_path = ''
as $$
    insert into private.xp_events (student_id, goal_id, source_type, source_id, amount, created_at)
    select p_student_id, p_goal_id, p_source_type, p_source_id, p_amount, private.clock() where p_amount <> 0
    on conflict (student_id, source_type, source_id, rule_version) do nothing;
$$;

comment on function private.add_xp(uuid, uuid, text, text, int) is
    'Adds points once a source; none for an amount of 0.';

-- Streaks: on which local days a student worked, in all and for each goal. What is stored are the days; length, state
-- and freezes are computed from them, so no job ends a streak at midnight and a late answer mends it.
--
-- A freeze is earned by every seven days of work in a row, and at most two are kept. A day without work uses one. A
-- date that a zone never had (Apia, 30 December 2011) is no missed day.

create table private.activity_days (
    id bigint generated always as identity primary key,
    student_id uuid not null,
    goal_id uuid,
    day date not null,
    kind public.activity_kind not null default 'active',
    zone text not null,
    credited_at timestamptz not null,
    created_at timestamptz not null default now(),

    constraint activity_days_student_id_fkey
        foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint activity_days_goal_id_fkey foreign key (goal_id) references public.goals(id) on delete cascade,
    constraint activity_days_student_id_goal_id_day_key unique nulls not distinct (student_id, goal_id, day),
    constraint activity_days_zone_check check (char_length(zone) between 1 and 64)
);

create index idx_activity_days_goal_id on private.activity_days (goal_id) where goal_id is not null;
-- for the last credit before an instant
create index idx_activity_days_credited on private.activity_days (student_id, credited_at);

comment on table private.activity_days is 'Local days on which a student worked, or used a freeze.';
comment on column private.activity_days.id is 'Identity of the row.';
comment on column private.activity_days.student_id is 'The student.';
comment on column private.activity_days.goal_id is 'The goal that the work was for; null: any work.';
comment on column private.activity_days.day is 'The date where the student was.';
comment on column private.activity_days.kind is 'active: work. freeze: a freeze was used.';
comment on column private.activity_days.zone is 'The time zone that gave the date.';
comment on column private.activity_days.credited_at is 'The instant of the work that counted.';
comment on column private.activity_days.created_at is 'When the row was written.';

create table private.streak_freezes (
    id bigint generated always as identity primary key,
    student_id uuid not null,
    goal_id uuid,
    day date not null,
    kind public.freeze_kind not null,
    created_at timestamptz not null default now(),

    constraint streak_freezes_student_id_fkey
        foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint streak_freezes_goal_id_fkey foreign key (goal_id) references public.goals(id) on delete cascade,
    constraint streak_freezes_student_id_goal_id_day_kind_key
        unique nulls not distinct (student_id, goal_id, day, kind)
);

create index idx_streak_freezes_goal_id on private.streak_freezes (goal_id) where goal_id is not null;

comment on table private.streak_freezes is 'The ledger of freezes: earned on a day, or used for a day.';
comment on column private.streak_freezes.id is 'Identity of the row.';
comment on column private.streak_freezes.student_id is 'The student.';
comment on column private.streak_freezes.goal_id is 'The goal whose streak it is; null: that of any work.';
comment on column private.streak_freezes.day is 'The day that earned it, or that it was used for.';
comment on column private.streak_freezes.kind is 'earned or used.';
comment on column private.streak_freezes.created_at is 'When the row was written.';

create function private.has_day(p_day date, p_zone text)
returns boolean
language sql
stable
set search_path = ''
as $$
    select ((p_day + time '12:00') at time zone p_zone at time zone p_zone)::date = p_day;
$$;

comment on function private.has_day(date, text) is
    'Whether a zone had this date; zones that crossed the date line skip one.';

create function private.missed_days(p_last date, p_next date, p_zone text)
returns date[]
language sql
stable
strict
set search_path = ''
as $$
    -- two freezes and a skipped date bridge three days; what is longer ends the streak without being listed
    select case
        when p_next - p_last <= 4 then array(
            select p_last + n from generate_series(1, p_next - p_last - 1) as n
            where private.has_day(p_last + n, p_zone)
        )
        else array_fill(null::date, array[3])
    end;
$$;

comment on function private.missed_days(date, date, text) is
    'The dates between two days of work, without those that the zone never had; three nulls when there are many.';

create function private.streak_of(p_student_id uuid, p_goal_id uuid, p_now timestamptz, p_zone text)
returns table (length int, state text, freezes_left int, earned date[], used date[])
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_today date := (p_now at time zone p_zone)::date;
    v_row record;
    v_last date;
    v_missed date[];
    v_kept int := 0;
begin
    length := 0;
    freezes_left := 0;
    earned := '{}';
    used := '{}';
    for v_row in
        select d.day, d.zone from private.activity_days as d
        where d.student_id = p_student_id and d.goal_id is not distinct from p_goal_id and d.kind = 'active'
        order by d.day
    loop
        v_missed := coalesce(private.missed_days(v_last, v_row.day, v_row.zone), '{}');
        if cardinality(v_missed) > freezes_left then
            length := 0;
            v_kept := 0;
        else
            length := length + cardinality(v_missed);
            freezes_left := freezes_left - cardinality(v_missed);
            used := used || v_missed;
        end if;
        length := length + 1;
        v_kept := v_kept + 1;
        if v_kept = 7 then
            v_kept := 0;
            if freezes_left < 2 then
                freezes_left := freezes_left + 1;
                earned := earned || v_row.day;
            end if;
        end if;
        v_last := v_row.day;
    end loop;
    -- west of where the last work was done it may be yesterday again
    v_today := greatest(v_today, v_last);
    v_missed := coalesce(private.missed_days(v_last, v_today, p_zone), '{}');
    if v_last is null or cardinality(v_missed) > freezes_left then
        length := 0;
        state := 'broken';
    elsif v_last = v_today then
        state := 'active';
    else
        length := length + cardinality(v_missed);
        freezes_left := freezes_left - cardinality(v_missed);
        state := 'at_risk';
    end if;
    return next;
end
$$;

comment on function private.streak_of(uuid, uuid, timestamptz, text) is
    'The streak of a student, or of a goal, at an instant: days in a row with those that freezes bridge, its state '
    '(active: worked today; at_risk: not yet today; broken), the freezes left, and the days on which freezes were '
    'earned and for which they were used.';

create function private.streak_zone(p_student_id uuid, p_at timestamptz)
returns text
language sql
stable
security definer
set search_path = ''
as $$
    select coalesce(
        case
            when p.pending_timezone is not null and p.timezone_changed_at > p_at then (
                select d.zone from private.activity_days as d
                where d.student_id = p_student_id and d.kind = 'active' order by d.credited_at desc limit 1
            )
        end,
        p.timezone
    )
    from public.profiles as p where p.user_id = p_student_id;
$$;

comment on function private.streak_zone(uuid, timestamptz) is
    'The time zone whose days count for a person at an instant: theirs, and until a new one counts, that of the last '
    'day that was counted.';

create function private.credit_day(p_student_id uuid, p_goal_id uuid, p_at timestamptz, p_zone text)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_day constant date := (p_at at time zone p_zone)::date;
    v_last private.activity_days;
    v_streak record;
begin
    select * into v_last from private.activity_days as d
    where d.student_id = p_student_id and d.goal_id is not distinct from p_goal_id and d.kind = 'active'
        and d.credited_at <= p_at
    order by d.credited_at desc limit 1;
    -- a flight across zones must not turn one evening into two days
    if v_last.zone <> p_zone and p_at < v_last.credited_at + interval '8 hours' then
        return;
    end if;
    insert into private.activity_days as d (student_id, goal_id, day, zone, credited_at)
    values (p_student_id, p_goal_id, v_day, p_zone, p_at)
    on conflict (student_id, goal_id, day) do update
    set kind = 'active', zone = excluded.zone, credited_at = excluded.credited_at where d.kind = 'freeze';
    if not found then
        return;
    end if;
    -- a late day may give back a freeze that was used for it, and change all that follows
    select * into v_streak from private.streak_of(p_student_id, p_goal_id, p_at, p_zone);
    delete from private.activity_days
    where student_id = p_student_id and goal_id is not distinct from p_goal_id and kind = 'freeze'
        and day <> all (v_streak.used);
    insert into private.activity_days (student_id, goal_id, day, kind, zone, credited_at)
    select p_student_id, p_goal_id, x, 'freeze', p_zone, p_at from unnest(v_streak.used) as x
    on conflict (student_id, goal_id, day) do nothing;
    delete from private.streak_freezes
    where student_id = p_student_id and goal_id is not distinct from p_goal_id
        and case kind when 'earned' then day <> all (v_streak.earned) else day <> all (v_streak.used) end;
    insert into private.streak_freezes (student_id, goal_id, day, kind)
    select p_student_id, p_goal_id, x, 'earned'::public.freeze_kind from unnest(v_streak.earned) as x
    union all
    select p_student_id, p_goal_id, x, 'used' from unnest(v_streak.used) as x
    on conflict (student_id, goal_id, day, kind) do nothing;
end
$$;

comment on function private.credit_day(uuid, uuid, timestamptz, text) is
    'Counts the local day of an instant for a streak, once, and brings the ledger of freezes in line. After a change '
    'of zone the next day counts only eight hours after the last credit.';

create function private.goal_streak(p_student_id uuid, p_goal_id uuid)
returns int
language sql
stable
security definer
set search_path = ''
as $$
    select s.length
    from private.streak_of(
        p_student_id, p_goal_id, private.clock(), private.streak_zone(p_student_id, private.clock())
    ) as s
    where exists (select from private.activity_days where goal_id = p_goal_id);
$$;

comment on function private.goal_streak(uuid, uuid) is
    'The streak of a goal now; null when no day was ever counted for it.';

create function private.goal_progress(p_goal_id uuid)
returns numeric
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_goal public.goals;
    v_done numeric;
begin
    select * into v_goal from public.goals where id = p_goal_id;
    if v_goal.target_kind is null then
        return v_goal.completion_percentage;
    end if;
    if v_goal.target_kind = 'sessions' then
        select count(*) into v_done from public.tutoring_sessions as x
        where x.student_id = v_goal.student_id and (v_goal.subject_id is null or x.subject_id = v_goal.subject_id)
            and x.session_date between v_goal.created_at and private.clock();
    else
        select case v_goal.target_kind
            when 'answers' then count(*) filter (where a.completed)
            else coalesce(floor(sum(x.duration_ms) / 60000.0), 0)
        end into v_done
        from public.practice_assignments as a
        left join public.practice_attempts as x on x.practice_assignment_id = a.id and x.corrects_id is null
        where a.goal_id = p_goal_id;
    end if;
    return least(100, round(100 * v_done / v_goal.target_count, 2));
end
$$;

comment on function private.goal_progress(uuid) is
    'How much of a goal is done, 0 to 100: work done for it over its target; without a target, what was set by hand.';

-- What a student practises next: what is open, then reviews that are due, then new items near the wished chance of
-- success. The random part comes from a seed that is stored with the assignment, so each choice can be explained.

create function private.lock_student(p_student_id uuid)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    perform from public.user_stats where user_id = p_student_id for update;
    if not found then
        raise exception 'no person has the id in p_student_id' using errcode = 'PT404';
    end if;
end
$$;

comment on function private.lock_student(uuid) is
    'Makes everything that moves a student''s practice run one after the other; the first lock of each of them.';

create function private.seeded(p_seed bigint, p_key text)
returns double precision
language sql
immutable
set search_path = ''
as $$
    -- 52 bits fit into a double without rounding; one half keeps 0 out, of which there is no logarithm
    select (('x' || left(md5(p_seed || ':' || p_key), 13))::bit(52)::bigint + 0.5) / 4503599627370496;
$$;

comment on function private.seeded(bigint, text) is 'A number between 0 and 1 that only seed and key decide.';

create function private.wished_success(p_seed bigint, p_slot int, p_is_placement boolean)
returns double precision
language sql
immutable
set search_path = ''
as $$
    select case
        when p_is_placement then 0.6
        else greatest(0.55, least(0.95, 0.75 + 0.1
            * sqrt(-2 * ln(private.seeded(p_seed, p_slot || ':radius')))
            * cos(2 * pi() * private.seeded(p_seed, p_slot || ':angle'))))
    end;
$$;

comment on function private.wished_success(bigint, int, boolean) is
    'How likely the student should be to solve the next item: .6 while their ability is unknown, then drawn around '
    '.75.';

create function private.practice_candidates(
    p_student_id uuid, p_subject_id uuid, p_topic_tags text[], p_theta double precision
)
returns table (item_id uuid, b double precision, success double precision)
language sql
stable
security definer
set search_path = ''
as $$
    select i.id, x.b, private.expected_success(p_theta, x.b, coalesce(1.0 / cardinality(i.choices), 0))
    from public.practice_bank_items as i
    left join private.item_calibration as c on c.item_id = i.id
    cross join lateral (select coalesce(c.b, (i.elo_rating - 1000) / private.points_per_logit()) as b) as x
    where i.subject_id = p_subject_id and i.is_active
        and (p_topic_tags is null or i.topic_tags && p_topic_tags)
        -- without a key nothing can be graded
        and exists (select from public.practice_bank_answers as k where k.item_id = i.id)
        and not exists (
            select from public.practice_assignments as a where a.student_id = p_student_id and a.bank_item_id = i.id
        );
$$;

comment on function private.practice_candidates(uuid, uuid, text[], double precision) is
    'Active items that the student never saw, with their difficulty and the student''s chance of success.';

create function private.pick_item(
    p_student_id uuid, p_subject_id uuid, p_topic_tags text[], p_seed bigint, p_slot int,
    out item_id uuid, out success double precision
)
language plpgsql
stable
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_ability private.practice_ability;
    v_theta double precision;
    v_wish double precision;
begin
    select * into v_ability from private.practice_ability
    where student_id = p_student_id and subject_id = p_subject_id;
    v_theta := coalesce(v_ability.theta, 0);
    if private.seeded(p_seed, p_slot || ':calibration') < 0.05 then
        -- some items are taken at random, or those that seem too hard would never be found to be easy
        select c.item_id, c.success into item_id, success
        from private.practice_candidates(p_student_id, p_subject_id, p_topic_tags, v_theta) as c
        where abs(c.b - v_theta) * private.points_per_logit() <= 300
        order by private.seeded(p_seed, c.item_id::text) limit 1;
        if found then
            return;
        end if;
    end if;
    v_wish := private.wished_success(
        p_seed, p_slot,
        coalesce(v_ability.answers, 0) < 6
        and private.points_per_logit() * sqrt(coalesce(v_ability.variance, 1)) >= 100
    );
    select x.item_id, x.success into item_id, success
    from (
        select * from private.practice_candidates(p_student_id, p_subject_id, p_topic_tags, v_theta) as c
        order by abs(c.success - v_wish) fetch first 1 rows with ties
    ) as x
    order by private.seeded(p_seed, x.item_id::text) limit 1;
end
$$;

comment on function private.pick_item(uuid, uuid, text[], bigint, int) is
    'The unseen item whose chance of success is nearest to the wish; one pick of twenty is random within 300 points. '
    'Ties are broken by the seed. Nulls when every item was seen.';

create function private.open_practice(p_student_id uuid, p_subject_id uuid, p_count int, p_topic_tags text[])
returns uuid[]
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    -- an item that was edited is asked as it is now
    update public.practice_assignments as a set
        bank_item_version = i.version,
        difficulty_level = i.difficulty_level,
        answer_kind = i.answer_kind,
        choices = i.choices
    from public.practice_bank_items as i
    where a.student_id = p_student_id and a.subject_id = p_subject_id and not a.completed
        and i.id = a.bank_item_id and i.version <> a.bank_item_version and a.review_state <> 'needs_review';
    return array(
        select a.id
        from public.practice_assignments as a
        left join public.practice_bank_items as i on i.id = a.bank_item_id
        where a.student_id = p_student_id and a.subject_id = p_subject_id and not a.completed
            and a.review_state <> 'needs_review'
            and (p_topic_tags is null or i.topic_tags && p_topic_tags)
            and case a.source
                when 'bank' then i.is_active
                    and exists (select from public.practice_bank_answers as k where k.item_id = i.id)
                -- a tutor refused it
                else not (a.flagged and a.review_state = 'reviewed')
                    and exists (
                        select from public.practice_assignment_answers as k where k.practice_assignment_id = a.id
                    )
            end
            and not exists (select from private.practice_submissions as s where s.practice_assignment_id = a.id)
        order by a.is_review desc, a.assigned_at, a.id limit p_count
    );
end
$$;

comment on function private.open_practice(uuid, uuid, int, text[]) is
    'Assignments of a student that can be answered now, reviews first, the oldest first.';

create function private.due_reviews(p_student_id uuid, p_subject_id uuid, p_topic_tags text[], p_limit int)
returns setof uuid
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_zone constant text := private.streak_zone(p_student_id, private.clock());
    v_today constant timestamp := date_trunc('day', private.clock() at time zone v_zone);
begin
    return query
    select r.bank_item_id
    from public.practice_reviews as r
    inner join public.practice_bank_items as i on i.id = r.bank_item_id
    where r.student_id = p_student_id and r.due_at < (v_today + interval '1 day') at time zone v_zone
        and i.subject_id = p_subject_id and i.is_active
        and (p_topic_tags is null or i.topic_tags && p_topic_tags)
        and not exists (
            select from public.practice_assignments as a
            where a.student_id = p_student_id and a.bank_item_id = r.bank_item_id and not a.completed
        )
    -- what is most likely forgotten comes first
    order by extract(epoch from private.clock() - r.last_review_at) / r.stability desc, r.bank_item_id
    limit least(p_limit, 60 - (
        select count(*) from public.practice_assignments as a
        where a.student_id = p_student_id and a.is_review and a.assigned_at >= v_today at time zone v_zone
    ));
end
$$;

comment on function private.due_reviews(uuid, uuid, text[], int) is
    'Items due on the student''s local day, at most 60 reviews a day, the most forgotten first.';

create function private.check_pick(p_student_id uuid, p_subject_id uuid, p_count int, p_goal_id uuid, p_seed bigint)
returns void
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    if num_nulls(p_student_id, p_subject_id, p_count, p_seed) > 0 then
        raise exception 'p_student_id, p_subject_id, p_count and p_seed must not be null' using errcode = '22004';
    end if;
    perform private.check_number('p_count', p_count, 1, 10);
    if not exists (select from public.subjects where id = p_subject_id) then
        raise exception 'no subject has the id in p_subject_id' using errcode = 'PT404';
    end if;
    if p_goal_id is not null and not exists (
        select from public.goals
        where id = p_goal_id and student_id = p_student_id and (subject_id is null or subject_id = p_subject_id)
    ) then
        raise exception 'the student has no goal of this subject with the id in p_goal_id' using errcode = '22023';
    end if;
end
$$;

comment on function private.check_pick(uuid, uuid, int, uuid, bigint) is
    'Refuses arguments that nothing can be picked for.';

create function public.svc_pick_practice(
    p_student_id uuid,
    p_subject_id uuid,
    p_count int,
    p_topic_tags text[] default null,
    p_goal_id uuid default null,
    p_include_reviews boolean default true,
    p_seed bigint default 0
)
returns setof public.practice_assignments
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_ids uuid[];
    v_reviews int;
    v_slot int;
    v_pick record;
begin
    perform private.check_pick(p_student_id, p_subject_id, p_count, p_goal_id, p_seed);
    perform private.lock_student(p_student_id);
    v_ids := private.open_practice(p_student_id, p_subject_id, p_count, p_topic_tags);
    select ceil(p_count / 2.0) - count(*) into v_reviews
    from public.practice_assignments as a where a.id = any (v_ids) and a.is_review;
    v_reviews := least(v_reviews, p_count - cardinality(v_ids));
    if p_include_reviews and v_reviews > 0 then
        with made as (
            insert into public.practice_assignments as a (student_id, bank_item_id, goal_id, is_review, assigned_at)
            select p_student_id, r.item_id, p_goal_id, true, private.clock() + r.place * interval '1 microsecond'
            from private.due_reviews(p_student_id, p_subject_id, p_topic_tags, v_reviews)
                with ordinality as r (item_id, place)
            returning a.id
        )
        select v_ids || coalesce(array_agg(id), '{}') into v_ids from made;
    end if;
    for v_slot in cardinality(v_ids) + 1 .. p_count loop
        select * into v_pick from private.pick_item(p_student_id, p_subject_id, p_topic_tags, p_seed, v_slot);
        exit when v_pick.item_id is null;
        with made as (
            insert into public.practice_assignments as a (
                student_id, bank_item_id, goal_id, expected_success, out_of_zone, pick_seed, assigned_at
            )
            values (
                p_student_id, v_pick.item_id, p_goal_id, v_pick.success, v_pick.success not between 0.65 and 0.85,
                -- so that open ones keep their order
                p_seed, private.clock() + v_slot * interval '1 microsecond'
            )
            returning a.id
        )
        select v_ids || id into v_ids from made;
    end loop;
    return query
    select a.* from public.practice_assignments as a
    inner join unnest(v_ids) with ordinality as x (id, place) on x.id = a.id
    order by a.is_review desc, x.place;
end
$$;

comment on function public.svc_pick_practice(uuid, uuid, int, text[], uuid, boolean, bigint) is
    'What a student practises next in a subject, 1 to 10 assignments, reviews first: open ones, then reviews that are '
    'due (at most half), then unseen items. Fewer, or none, when the bank has no more. PT404 without the subject, '
    '22023 for a goal of others.';

-- One answer, and all that it moves, in one transaction: attempt, completion, Elo ratings, ability, item, review,
-- points, streak and goal. Lock order: the student's row of user_stats, practice assignment, rating, bank item, its
-- calibration, goal. Scores, ratings and correctness are computed by the service and here, never taken from a client.

create function private.practice_result(p_practice public.practice_assignments, p_attempt public.practice_attempts)
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_last public.practice_attempts;
    v_answer text;
    v_explanation text;
begin
    -- the last correction, else the answer itself
    select * into v_last from public.practice_attempts
    where p_attempt.id in (id, corrects_id) order by seq desc limit 1;
    if p_practice.completed then
        select answer_text, explanation into v_answer, v_explanation
        from public.practice_bank_answers where item_id = p_practice.bank_item_id
        union all
        select ai_answer_text, ai_explanation
        from public.practice_assignment_answers where practice_assignment_id = p_practice.id;
    end if;
    return jsonb_build_object(
        'assignment_id', p_practice.id,
        'needs_review', p_practice.review_state = 'needs_review',
        'score', p_practice.performance_score,
        'correct', case when v_last.corrects_id is null then v_last.raw_score else v_last.score end >= 0.6,
        'graded_by', v_last.graded_by,
        'feedback', coalesce(v_last.feedback, p_attempt.feedback),
        'answer_text', v_answer,
        'explanation', v_explanation,
        'rating_before', p_practice.student_rating_before,
        'rating_after', p_practice.student_rating_after,
        'ability', 1000 + private.points_per_logit() * p_attempt.theta_after,
        'ability_sd', private.points_per_logit() * sqrt(p_attempt.variance_after),
        'calibrating', private.points_per_logit() * sqrt(p_attempt.variance_after) > 100,
        'xp', 0, 'streak', null, 'goal_progress', null, 'next_review_at', null
    ) || coalesce(p_attempt.outcome, '{}');
end
$$;

comment on function private.practice_result(public.practice_assignments, public.practice_attempts) is
    'What a student is told about an answer; with nulls for what nobody knows of a completion without an answer.';

create function private.check_answer(
    p_student_id uuid, p_assignment_id uuid, p_key text, p_answer text, p_duration_ms int, p_answered_at timestamptz
)
returns void
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    perform private.check_time('p_answered_at', p_answered_at);
    if num_nulls(p_student_id, p_assignment_id, p_key, p_answer) > 0 then
        raise exception 'p_student_id, p_assignment_id, p_key and p_answer must not be null' using errcode = '22004';
    end if;
    if char_length(p_key) not between 8 and 255 then
        raise exception 'p_key must have 8 to 255 characters' using errcode = '22023';
    end if;
    if char_length(p_answer) not between 1 and 10000 or btrim(p_answer) = '' then
        raise exception 'p_answer must have 1 to 10000 characters' using errcode = '22023';
    end if;
    perform private.check_number('p_duration_ms', p_duration_ms, 0, 86400000);
    if p_answered_at not between private.clock() - interval '48 hours' and private.clock() + interval '5 minutes' then
        raise exception 'p_answered_at must be in the last 48 hours' using errcode = '22023';
    end if;
end
$$;

comment on function private.check_answer(uuid, uuid, text, text, int, timestamptz) is
    'Refuses an answer that cannot be recorded: 22004, 22023 or 22003.';

create function private.known_answer(
    p_student_id uuid, p_assignment_id uuid, p_key text, p_answer text, out practice public.practice_assignments,
    out attempt public.practice_attempts
)
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_same boolean;
begin
    select * into attempt from public.practice_attempts
    where student_id = p_student_id and idempotency_key = p_key;
    v_same := case
        when found then
            (attempt.practice_assignment_id, attempt.answer) is not distinct from (p_assignment_id, p_answer)
        else (
            select (practice_assignment_id, answer) = (p_assignment_id, p_answer) from private.practice_submissions
            where student_id = p_student_id and idempotency_key = p_key
        )
    end;
    if not v_same then
        raise exception 'p_key was used for another answer' using errcode = 'PT422';
    end if;
    select * into practice from public.practice_assignments
    where id = p_assignment_id and student_id = p_student_id for update;
    if not found then
        raise exception 'this student has no practice with the id in p_assignment_id' using errcode = 'PT404';
    end if;
    if attempt.id is null and (practice.completed or practice.review_state = 'needs_review') then
        select * into attempt from public.practice_attempts
        where practice_assignment_id = p_assignment_id and corrects_id is null order by seq limit 1;
    end if;
end
$$;

comment on function private.known_answer(uuid, uuid, text, text) is
    'Locks the assignment and finds the answer that was recorded for it or for the key. PT404 for practice of others, '
    'PT422 for a key that another answer used.';

create function private.rate_answer(p_practice public.practice_assignments, p_attempt public.practice_attempts)
returns public.practice_attempts
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_item public.practice_bank_items;
    v_calibration private.item_calibration;
    v_ability private.practice_ability;
    v_step record;
begin
    if p_attempt.subject_id is null then
        return p_attempt;
    end if;
    insert into public.student_ratings (student_id, subject_id) values (p_attempt.student_id, p_attempt.subject_id)
    on conflict (student_id, subject_id) do nothing;
    select rating into p_attempt.rating_before from public.student_ratings
    where student_id = p_attempt.student_id and subject_id = p_attempt.subject_id for update;
    insert into private.practice_ability (student_id, subject_id) values (p_attempt.student_id, p_attempt.subject_id)
    on conflict (student_id, subject_id) do nothing;
    select * into v_ability from private.practice_ability
    where student_id = p_attempt.student_id and subject_id = p_attempt.subject_id;
    p_attempt.rating_after := p_attempt.rating_before;
    p_attempt.theta_before := v_ability.theta;
    p_attempt.variance_before := v_ability.variance;
    p_attempt.theta_after := v_ability.theta;
    p_attempt.variance_after := v_ability.variance;
    if p_practice.source <> 'bank' then
        return p_attempt;
    end if;

    select * into v_item from public.practice_bank_items where id = p_practice.bank_item_id for no key update;
    if v_item.version <> p_practice.bank_item_version then
        raise exception 'the item was changed since it was asked' using errcode = 'PT409';
    end if;
    v_calibration := private.calibrated_item(v_item);
    p_attempt.question_rating := v_item.elo_rating;
    p_attempt.guess := coalesce(1.0 / cardinality(v_item.choices), 0);
    p_attempt.b_before := v_calibration.b;
    p_attempt.item_variance_before := v_calibration.variance;
    p_attempt.is_first := not exists (
        select from public.practice_attempts
        where student_id = p_attempt.student_id and bank_item_id = v_item.id and item_version = v_item.version
    );
    p_attempt.is_rated := p_attempt.is_first and p_attempt.score is not null;
    v_step := private.ability_step(
        v_ability.theta, v_ability.variance, private.idle_days(v_ability.last_answer_at, p_attempt.recorded_at),
        v_calibration.b, v_calibration.variance, p_attempt.guess, p_attempt.score
    );
    p_attempt.expected := v_step.expected;
    if p_attempt.is_rated then
        p_attempt.theta_after := v_step.theta;
        p_attempt.variance_after := v_step.variance;
        update private.item_calibration set b = v_step.b, variance = v_step.item_variance, answers = answers + 1
        where item_id = v_item.id;
    end if;
    return p_attempt;
end
$$;

comment on function private.rate_answer(public.practice_assignments, public.practice_attempts) is
    'Fills an attempt''s columns of ratings, and moves the item. Only the first answer to a version of a bank item, '
    'and only with a score, moves anything. PT409 when the item was changed since it was asked.';

create function private.store_ability(p_attempt public.practice_attempts)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if not p_attempt.is_rated then
        return;
    end if;
    update private.practice_ability set
        theta = p_attempt.theta_after,
        variance = p_attempt.variance_after,
        answers = answers + 1,
        last_answer_at = p_attempt.recorded_at
    where student_id = p_attempt.student_id and subject_id = p_attempt.subject_id;
    perform private.show_ability(p_attempt.student_id, p_attempt.subject_id);
end
$$;

comment on function private.store_ability(public.practice_attempts) is
    'Stores what a rated answer made of the ability.';

create function private.show_ability(p_student_id uuid, p_subject_id uuid)
returns void
language sql
volatile
security definer
set search_path = ''
as $$
    update public.student_ratings as r set
        ability = case when a.answers > 0 then 1000 + private.points_per_logit() * a.theta end,
        ability_sd = case when a.answers > 0 then private.points_per_logit() * sqrt(a.variance) end,
        answers = a.answers
    from private.practice_ability as a
    where r.student_id = p_student_id and r.subject_id = p_subject_id
        and a.student_id = p_student_id and a.subject_id = p_subject_id;
$$;

comment on function private.show_ability(uuid, uuid) is 'Copies an ability, in points, to where people read it.';

create function private.reward_answer(p_practice public.practice_assignments, p_attempt public.practice_attempts)
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_zone text;
    v_streak record;
    v_xp int;
    v_percentage numeric;
begin
    v_zone := private.settle_timezone(p_attempt.student_id, p_attempt.answered_at);
    perform private.credit_day(p_attempt.student_id, null, p_attempt.answered_at, v_zone);
    select x.amount into v_xp from private.practice_xp(
        p_attempt.student_id, p_attempt.bank_item_id, p_attempt.practice_assignment_id
    ) as x where x.attempt_id = p_attempt.id;
    perform private.add_xp(p_attempt.student_id, p_practice.goal_id, 'practice', p_attempt.id::text, v_xp);
    if p_practice.goal_id is not null then
        perform private.credit_day(p_attempt.student_id, p_practice.goal_id, p_attempt.answered_at, v_zone);
        v_percentage := private.refresh_goal(p_practice.goal_id);
    end if;
    select * into v_streak from private.streak_of(p_attempt.student_id, null, private.clock(), v_zone);
    perform private.show_points(p_attempt.student_id, v_streak.length);
    return jsonb_build_object(
        'xp', v_xp,
        'streak', jsonb_build_object(
            'length', v_streak.length, 'state', v_streak.state, 'freezes_left', v_streak.freezes_left
        ),
        'goal_progress', case when p_practice.goal_id is not null then jsonb_build_object(
            'goal_id', p_practice.goal_id, 'completion_percentage', v_percentage
        ) end
    );
end
$$;

comment on function private.reward_answer(public.practice_assignments, public.practice_attempts) is
    'Counts the day, adds the points and brings goal and totals in line; returns what the student is told of it.';

create function private.refresh_goal(p_goal_id uuid)
returns numeric
language sql
volatile
security definer
set search_path = ''
as $$
    update public.goals as g set
        current_streak = coalesce(private.goal_streak(g.student_id, g.id), g.current_streak),
        xp_earned = greatest(
            0, coalesce((select sum(x.amount) from private.xp_events as x where x.goal_id = g.id), g.xp_earned)
        ),
        completion_percentage = private.goal_progress(g.id)
    where g.id = p_goal_id
    returning g.completion_percentage;
$$;

comment on function private.refresh_goal(uuid) is
    'Writes streak, points and progress of a goal from what they follow from; returns the percentage.';

create function private.show_points(p_student_id uuid, p_streak int)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_xp int;
begin
    select coalesce(sum(amount), 0) into v_xp from private.xp_events where student_id = p_student_id;
    update public.user_stats set gamification = gamification || jsonb_build_object(
        'xp', v_xp, 'level', 1 + floor(sqrt(greatest(0, v_xp) / 100.0)), 'streaks', p_streak
    )
    where user_id = p_student_id;
end
$$;

comment on function private.show_points(uuid, int) is
    'Writes xp, level and streaks of a student; the level is 1 and the root of a hundredth of the points.';

create function private.ask_tutors(p_practice public.practice_assignments)
returns void
language sql
volatile
security definer
set search_path = ''
as $$
    insert into public.notifications (user_id, type, status, title, body, payload, created_at)
    select distinct
        a.tutor_id, 'system'::public.notification_type, 'sent'::public.notification_status, 'An answer waits for you',
        'A student''s answer could not be graded with confidence. Read it and give it a score.',
        jsonb_build_object('practice_assignment_id', p_practice.id, 'student_id', p_practice.student_id),
        private.clock()
    from private.current_assignments as a
    where a.student_id = p_practice.student_id and a.status = 'active'
        and (a.subject_id is null or a.subject_id = p_practice.subject_id);
$$;

comment on function private.ask_tutors(public.practice_assignments) is
    'Tells the tutors of student and subject that a score is withheld.';

create function private.complete_answer(
    p_practice public.practice_assignments, p_attempt public.practice_attempts, p_review jsonb, p_seen timestamptz
)
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_due timestamptz;
    v_outcome jsonb;
begin
    if p_attempt.score is null then
        update public.practice_assignments set review_state = 'needs_review' where id = p_practice.id
        returning * into p_practice;
        perform private.ask_tutors(p_practice);
    else
        p_practice := private.complete_practice(p_practice.id, p_attempt.score, p_attempt.is_rated);
        p_attempt.rating_after := p_practice.student_rating_after;
        perform private.store_ability(p_attempt);
    end if;
    insert into public.practice_attempts overriding user value select p_attempt.*
    returning * into p_attempt;
    if p_review is not null and p_practice.bank_item_id is not null and p_attempt.score is not null then
        v_due := private.put_review(
            p_attempt.student_id, p_practice.bank_item_id, p_review, p_seen, p_attempt.raw_score >= 0.6
        );
    end if;
    v_outcome := private.reward_answer(p_practice, p_attempt)
        || jsonb_build_object('next_review_at', to_char(v_due at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'));
    update public.practice_attempts set outcome = v_outcome where id = p_attempt.id returning * into p_attempt;
    return private.practice_result(p_practice, p_attempt);
end
$$;

comment on function private.complete_answer(
    public.practice_assignments, public.practice_attempts, jsonb, timestamptz
) is
    'Writes an answer that was rated, and what follows from it; returns what the student is told.';

create function public.svc_record_answer(
    p_student_id uuid,
    p_assignment_id uuid,
    p_key text,
    p_answer text,
    p_score numeric,
    p_graded_by text,
    p_feedback text default null,
    p_confidence numeric default null,
    p_duration_ms int default null,
    p_answered_at timestamptz default null,
    p_review jsonb default null,
    p_review_seen timestamptz default null
)
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_known record;
    v_practice public.practice_assignments;
    v_attempt public.practice_attempts;
    v_waiting private.practice_submissions;
begin
    perform private.check_number('p_score', p_score, 0, 1);
    perform private.check_number('p_confidence', p_confidence, 0, 1);
    perform private.check_time('p_review_seen', p_review_seen);
    perform private.check_time('p_answered_at', p_answered_at);
    select * into v_waiting from private.practice_submissions
    where practice_assignment_id = p_assignment_id and student_id = p_student_id and idempotency_key = p_key;
    -- what waited for the model was in time when it was sent
    perform private.check_answer(
        p_student_id, p_assignment_id, p_key, p_answer, p_duration_ms,
        case when v_waiting.idempotency_key is null then p_answered_at end
    );
    if p_graded_by is null or p_graded_by not in ('rule', 'model') then
        raise exception 'p_graded_by must be rule or model' using errcode = '22023';
    end if;
    perform private.lock_student(p_student_id);
    select * into v_known from private.known_answer(p_student_id, p_assignment_id, p_key, p_answer);
    v_practice := v_known.practice;
    v_attempt := v_known.attempt;
    if v_attempt.id is not null or v_practice.completed then
        return private.practice_result(v_practice, v_attempt);
    end if;
    delete from private.practice_submissions where practice_assignment_id = p_assignment_id;

    v_attempt := jsonb_populate_record(null::public.practice_attempts, jsonb_build_object(
        'id', gen_random_uuid(), 'student_id', p_student_id, 'practice_assignment_id', p_assignment_id,
        'subject_id', v_practice.subject_id, 'bank_item_id', v_practice.bank_item_id,
        'item_version', v_practice.bank_item_version, 'answer', p_answer, 'raw_score', round(p_score, 3),
        -- a hint is half of the answer
        'score', case when v_practice.hints_used > 0 then least(0.5, round(p_score, 3)) else round(p_score, 3) end,
        'graded_by', p_graded_by, 'feedback', p_feedback, 'confidence', round(p_confidence, 2),
        'hints_used', v_practice.hints_used, 'duration_ms', coalesce(p_duration_ms, v_waiting.duration_ms),
        'idempotency_key', p_key,
        'answered_at', least(private.clock(), coalesce(v_waiting.answered_at, p_answered_at, private.clock())),
        'recorded_at', private.clock(), 'created_at', now(), 'is_first', false, 'is_rated', false,
        'outcome', '{}'::jsonb,
        'is_on_time', v_practice.is_review and private.is_on_time(
            p_student_id, v_practice.bank_item_id, coalesce(v_waiting.answered_at, p_answered_at, private.clock())
        )
    ));
    v_attempt := private.rate_answer(v_practice, v_attempt);
    return private.complete_answer(v_practice, v_attempt, p_review, p_review_seen);
end
$$;

comment on function public.svc_record_answer(
    uuid, uuid, text, text, numeric, text, text, numeric, int, timestamptz, jsonb, timestamptz
) is
    'Records an answer and all that it moves, once; returns what the student is told. Without p_score the score is '
    'withheld until a tutor gives it. The stored result for a known key or an answered assignment. PT404 for practice '
    'of others, PT409 for an item or review that changed meanwhile, PT422 for a key of another answer.';

create function private.is_on_time(p_student_id uuid, p_bank_item_id uuid, p_at timestamptz)
returns boolean
language sql
stable
security definer
set search_path = ''
as $$
    select coalesce(
        (p_at at time zone z.zone)::date - (r.due_at at time zone z.zone)::date between 0 and 1, false
    )
    from (select private.streak_zone(p_student_id, p_at) as zone) as z
    left join public.practice_reviews as r on r.student_id = p_student_id and r.bank_item_id = p_bank_item_id;
$$;

comment on function private.is_on_time(uuid, uuid, timestamptz) is
    'Whether an item is due on the local day of an instant, or was on the day before.';

create function private.settle_timezone(p_student_id uuid, p_at timestamptz)
returns text
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_zone constant text := private.streak_zone(p_student_id, p_at);
begin
    update public.profiles set pending_timezone = null
    where user_id = p_student_id and pending_timezone is not null and timezone_changed_at <= private.clock();
    return v_zone;
end
$$;

comment on function private.settle_timezone(uuid, timestamptz) is
    'private.streak_zone(), after which a zone whose midnight came is no longer pending.';

create function public.svc_submit_answer(
    p_student_id uuid,
    p_assignment_id uuid,
    p_key text,
    p_answer text,
    p_duration_ms int default null,
    p_answered_at timestamptz default null
)
returns table (job_id uuid, result jsonb)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_known record;
    v_job uuid;
begin
    perform private.check_answer(p_student_id, p_assignment_id, p_key, p_answer, p_duration_ms, p_answered_at);
    perform private.lock_student(p_student_id);
    select * into v_known from private.known_answer(p_student_id, p_assignment_id, p_key, p_answer);
    if (v_known.attempt).id is not null or (v_known.practice).completed then
        return query select null::uuid, private.practice_result(v_known.practice, v_known.attempt);
        return;
    end if;
    select s.job_id into v_job
    from private.practice_submissions as s
    inner join public.jobs as j on j.id = s.job_id
    where s.practice_assignment_id = p_assignment_id and j.status in ('queued', 'running');
    if v_job is null then
        select e.job_id into v_job from public.svc_enqueue_job(
            p_type => 'practice_grading', p_payload => jsonb_build_object('practice_assignment_id', p_assignment_id),
            p_user_id => p_student_id, p_dedupe_key => 'practice:' || p_assignment_id
        ) as e;
        insert into private.practice_submissions (
            practice_assignment_id, student_id, idempotency_key, answer, duration_ms, answered_at, job_id
        )
        values (
            p_assignment_id, p_student_id, p_key, p_answer, p_duration_ms,
            least(private.clock(), coalesce(p_answered_at, private.clock())), v_job
        )
        -- the job that should have graded the first one failed or was cancelled
        on conflict (practice_assignment_id) do update set
            idempotency_key = excluded.idempotency_key,
            answer = excluded.answer,
            duration_ms = excluded.duration_ms,
            answered_at = excluded.answered_at,
            job_id = excluded.job_id;
    end if;
    return query select v_job, null::jsonb;
end
$$;

comment on function public.svc_submit_answer(uuid, uuid, text, text, int, timestamptz) is
    'Keeps an answer in words and enqueues its grading, once; job_id while it is not graded, then the stored result. '
    'Refuses as svc_record_answer does.';

create function public.svc_get_submission(p_assignment_id uuid)
returns table (student_id uuid, idempotency_key text, answer text)
language sql
stable
security definer
set search_path = ''
as $$
    select student_id, idempotency_key, answer from private.practice_submissions
    where practice_assignment_id = p_assignment_id;
$$;

comment on function public.svc_get_submission(uuid) is 'The answer that waits to be graded; no row when none does.';

-- A tutor gives a score that was withheld, or corrects one. The correction joins the log, and everything that followed
-- from the old score is computed again: ratings, ability and points of that student. The item keeps what it learned.

create function private.replay_practice(p_student_id uuid, p_subject_id uuid)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_row record;
    v_step record;
    v_ability private.practice_ability;
    v_rated boolean;
    v_rating int;
    v_after int;
    v_stored int;
begin
    v_ability.theta := 0;
    v_ability.variance := 1;
    v_ability.answers := 0;
    for v_row in
        select a.*, g.score as counted
        from public.practice_attempts as a
        inner join private.graded_attempts as g on g.id = a.id
        where a.student_id = p_student_id and a.subject_id = p_subject_id
        order by a.seq
    loop
        v_rated := v_row.is_first and v_row.counted is not null;
        -- what else moved the rating between two answers stays
        v_rating := case
            when v_stored is null then v_row.rating_before
            else private.elo_moved(v_after, v_row.rating_before - v_stored)
        end;
        v_after := v_rating;
        v_stored := v_row.rating_after;
        v_step := private.ability_step(
            v_ability.theta, v_ability.variance, private.idle_days(v_ability.last_answer_at, v_row.recorded_at),
            v_row.b_before, v_row.item_variance_before, v_row.guess, v_row.counted
        );
        update public.practice_attempts set
            is_rated = v_rated, expected = v_step.expected,
            theta_before = v_ability.theta, variance_before = v_ability.variance,
            theta_after = case when v_rated then v_step.theta else v_ability.theta end,
            variance_after = case when v_rated then v_step.variance else v_ability.variance end,
            rating_before = v_rating
        where id = v_row.id;
        if v_rated then
            v_after := private.elo_moved(
                v_rating, 32 * (v_row.counted - private.elo_expected(v_rating, v_row.question_rating))
            );
            v_ability.theta := v_step.theta;
            v_ability.variance := v_step.variance;
            v_ability.answers := v_ability.answers + 1;
            v_ability.last_answer_at := v_row.recorded_at;
        end if;
        update public.practice_attempts set rating_after = v_after where id = v_row.id;
        update public.practice_assignments set student_rating_before = v_rating, student_rating_after = v_after
        where id = v_row.practice_assignment_id and completed;
    end loop;
    update private.practice_ability set
        theta = v_ability.theta, variance = v_ability.variance, answers = v_ability.answers,
        last_answer_at = v_ability.last_answer_at
    where student_id = p_student_id and subject_id = p_subject_id;
    update public.student_ratings
    set rating = private.elo_moved(rating, v_after - v_stored), last_updated = private.clock()
    where student_id = p_student_id and subject_id = p_subject_id and v_after <> v_stored;
    perform private.show_ability(p_student_id, p_subject_id);
end
$$;

comment on function private.replay_practice(uuid, uuid) is
    'Computes a student''s ratings and ability in a subject again, answer by answer, with the scores that count now. '
    'Without a correction since the last time it changes nothing.';

create function private.correct_xp(p_correction public.practice_attempts, p_goal_id uuid)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_difference int;
begin
    select coalesce(sum(x.amount), 0) into v_difference from private.practice_xp(
        p_correction.student_id, p_correction.bank_item_id, p_correction.practice_assignment_id
    ) as x;
    select v_difference - coalesce(sum(e.amount), 0) into v_difference
    from private.xp_events as e
    inner join public.practice_attempts as a on a.id::text = e.source_id
    where e.student_id = p_correction.student_id and a.student_id = p_correction.student_id
        and case
            when p_correction.bank_item_id is null
                then a.practice_assignment_id = p_correction.practice_assignment_id
            else a.bank_item_id = p_correction.bank_item_id
        end;
    perform private.add_xp(
        p_correction.student_id, p_goal_id, 'practice_correction', p_correction.id::text, v_difference
    );
end
$$;

comment on function private.correct_xp(public.practice_attempts, uuid) is
    'Adds the difference, often negative, between what the answers to an item are worth now and what was given.';

create function private.grade_practice(p_assignment_id uuid, p_score numeric, p_reason text)
returns public.practice_assignments
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_practice public.practice_assignments;
    v_attempt public.practice_attempts;
    v_override public.overrides;
    v_score constant numeric := round(p_score, 3);
begin
    v_override.tutor_id := private.require_caller();
    if num_nulls(p_assignment_id, p_score) > 0 then
        raise exception 'p_assignment_id and p_score are required' using errcode = '22004';
    end if;
    perform private.check_number('p_score', p_score, 0, 1);
    if char_length(p_reason) > 5000 then
        raise exception 'p_reason must have at most 5000 characters' using errcode = '22023';
    end if;
    select * into v_practice from public.practice_assignments
    where id = p_assignment_id and private.tutors(student_id, subject_id);
    if not found then
        raise exception 'only an active tutor of the student in this subject may grade this' using errcode = '42501';
    end if;
    perform private.lock_student(v_practice.student_id);
    select * into v_practice from public.practice_assignments where id = p_assignment_id for update;
    select * into v_attempt from public.practice_attempts
    where practice_assignment_id = p_assignment_id and corrects_id is null order by seq limit 1;
    if not found then
        raise exception 'this practice has no answer to grade' using errcode = '23514';
    end if;

    v_override.student_id := v_practice.student_id;
    v_override.override_type := 'practice';
    v_override.action := 'grade';
    v_override.practice_assignment_id := p_assignment_id;
    v_override.new_content := jsonb_build_object('performance_score', v_score);
    v_override.reason := p_reason;
    v_override.subject_id := v_practice.subject_id;
    v_override.difficulty_level := v_practice.difficulty_level;
    v_override := private.record_override(
        v_override, jsonb_build_object('performance_score', v_practice.performance_score)
    );
    return private.apply_grade(v_practice, v_attempt, v_override, v_score);
end
$$;

comment on function private.grade_practice(uuid, numeric, text) is 'Behind public.grade_practice().';

create function private.apply_grade(
    p_practice public.practice_assignments, p_attempt public.practice_attempts, p_override public.overrides,
    p_score numeric
)
returns public.practice_assignments
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_correction public.practice_attempts;
begin
    insert into public.practice_attempts (
        student_id, practice_assignment_id, corrects_id, subject_id, bank_item_id, item_version, raw_score, score,
        graded_by, feedback, idempotency_key, answered_at, recorded_at
    )
    values (
        p_attempt.student_id, p_practice.id, p_attempt.id, p_attempt.subject_id, p_attempt.bank_item_id,
        p_attempt.item_version, p_score, p_score, 'tutor', p_override.reason, 'override:' || p_override.id,
        p_attempt.answered_at, private.clock()
    )
    returning * into v_correction;
    update public.practice_assignments
    set review_state = 'reviewed', overridden = true, override_id = p_override.id
    where id = p_practice.id;
    if p_practice.completed then
        update public.practice_assignments set performance_score = p_score where id = p_practice.id;
    else
        perform private.complete_practice(p_practice.id, p_score, false);
    end if;
    if p_practice.subject_id is not null then
        perform private.replay_practice(p_practice.student_id, p_practice.subject_id);
    end if;
    perform private.correct_xp(v_correction, p_practice.goal_id);
    if p_practice.goal_id is not null then
        perform private.refresh_goal(p_practice.goal_id);
    end if;
    perform private.show_points(p_practice.student_id, s.length)
    from private.streak_of(
        p_practice.student_id, null, private.clock(), private.streak_zone(p_practice.student_id, private.clock())
    ) as s;
    select * into p_practice from public.practice_assignments where id = p_practice.id;
    return p_practice;
end
$$;

comment on function private.apply_grade(
    public.practice_assignments, public.practice_attempts, public.overrides, numeric
) is
    'Writes a tutor''s score and all that follows from it.';

create function public.grade_practice(p_assignment_id uuid, p_score numeric, p_reason text default null)
returns public.practice_assignments
language sql
volatile
set search_path = ''
begin atomic
    select private.grade_practice(p_assignment_id, p_score, p_reason);
end;

comment on function public.grade_practice(uuid, numeric, text) is
    'Gives a withheld score or corrects one, 0 to 1, for active tutors of student and subject, and records it as an '
    'override. The student''s ratings, ability and points are computed again from the log. 42501 for any other '
    'practice, existing or not; 23514 for one without an answer.';

create or replace function private.override_bank_practice(p_practice public.practice_assignments, p_override public.overrides)
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
        answer_kind = v_item.answer_kind,
        choices = v_item.choices,
        flagged = false,
        overridden = true,
        override_id = p_override.id
    where id = p_practice.id;
    return p_override;
end
$$;

comment on function private.override_bank_practice(public.practice_assignments, public.overrides) is
    'Puts another active item of the same subject in place of the one that was assigned.';

create or replace function public.refresh_user_stats(p_user_id uuid)
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
        'xp', coalesce(sum(xp_earned), 0) + (
            select coalesce(sum(amount), 0) from private.xp_events
            where student_id = p_user_id and goal_id is null
        ),
        'streaks', greatest(coalesce(max(current_streak), 0), (
            select s.length from private.streak_of(
                p_user_id, null, private.clock(), private.streak_zone(p_user_id, private.clock())
            ) as s
        ))
    ) into v_gamification
    from public.goals where student_id = p_user_id;

    update public.user_stats
    set analytics = analytics || v_analytics, gamification = gamification || v_gamification
    where user_id = p_user_id;
end
$$;

comment on function public.refresh_user_stats(uuid) is
    'Recomputes override_count, confidence_distribution and nudge_engagement (percentages, 0 for none) of analytics, '
    'and xp (points with and without a goal) and streaks (the longest that lasts) of gamification; other keys stay.';

create or replace view public.v_student_progress with (security_invoker = true) as
select
    g.student_id,
    g.id as goal_id,
    s.name as subject_name,
    private.goal_progress(g.id)::numeric(5, 2) as completion_percentage,
    coalesce(private.goal_streak(g.student_id, g.id), g.current_streak) as current_streak,
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
comment on column public.v_student_progress.completion_percentage is 'How much is achieved now, 0 to 100.';
comment on column public.v_student_progress.current_streak is
    'Days of work on it in a row, as of now; what is stored when no day was ever counted.';

grant insert (target_count, target_kind) on public.goals to authenticated;

grant insert (answer_kind, choices, tolerance, language) on public.practice_bank_items to authenticated;

grant insert (accepted_answers) on public.practice_bank_answers to authenticated;

grant execute on function private.goal_streak(uuid, uuid) to authenticated, service_role;
grant execute on function private.goal_progress(uuid) to authenticated, service_role;

-- Answers are for the student and tutors of the subject, never for parents or staff. Only svc_record_answer and
-- grade_practice write them, and nobody deletes one alone.

alter table public.practice_attempts enable row level security;

grant select on public.practice_attempts to authenticated, service_role;

create policy select_visible on public.practice_attempts for select to authenticated
using (
    student_id = any((select private.own_and_tutored_students())::uuid[])
    and (
        student_id not in (select private.partly_tutored_students())
        or (student_id, subject_id) in (select t.student_id, t.subject_id from private.tutored_subjects() as t)
    )
);
comment on policy select_visible on public.practice_attempts is 'The student, and tutors of the subject.';

-- No API role has rights on what is here; the services use the functions.

alter table private.practice_ability enable row level security;

create policy nobody on private.practice_ability for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.practice_ability is 'Closed on purpose: only functions of the database use it.';

alter table private.item_calibration enable row level security;

create policy nobody on private.item_calibration for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.item_calibration is 'Closed on purpose: only functions of the database use it.';

alter table private.calibration_log enable row level security;

create policy nobody on private.calibration_log for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.calibration_log is 'Closed on purpose: only functions of the database use it.';

grant execute on function public.svc_recenter_items() to service_role;

-- Written by svc_record_answer only.

alter table public.practice_reviews enable row level security;

grant select on public.practice_reviews to authenticated, service_role;

create policy select_visible on public.practice_reviews for select to authenticated
using (
    student_id = any((select private.own_and_tutored_students())::uuid[])
    and (
        student_id not in (select private.partly_tutored_students())
        or (student_id, subject_id) in (select t.student_id, t.subject_id from private.tutored_subjects() as t)
    )
);
comment on policy select_visible on public.practice_reviews is 'The student, and tutors of the subject.';

-- No API role has rights on what is here; the services use the functions.

alter table private.practice_hints enable row level security;

create policy nobody on private.practice_hints for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.practice_hints is 'Closed on purpose: only functions of the database use it.';

grant execute on function public.svc_store_hint(uuid, uuid, int, text) to service_role;

grant execute on function public.svc_get_hints(uuid, uuid) to service_role;

-- No API role has rights on what is here; the services use the functions.

alter table private.practice_submissions enable row level security;

create policy nobody on private.practice_submissions for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.practice_submissions is 'Closed on purpose: only functions of the database use it.';

-- No API role has rights on what is here; the services use the functions.

alter table private.xp_events enable row level security;

create policy nobody on private.xp_events for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.xp_events is 'Closed on purpose: only functions of the database use it.';

-- No API role has rights on what is here; the services use the functions.

alter table private.activity_days enable row level security;

create policy nobody on private.activity_days for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.activity_days is 'Closed on purpose: only functions of the database use it.';

alter table private.streak_freezes enable row level security;

create policy nobody on private.streak_freezes for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.streak_freezes is 'Closed on purpose: only functions of the database use it.';

-- The service picks in a student's name.

grant execute on function public.svc_pick_practice(uuid, uuid, int, text[], uuid, boolean, bigint) to service_role;

-- The service records answers; no client may say what an answer is worth.

grant execute on function public.svc_record_answer(
    uuid, uuid, text, text, numeric, text, text, numeric, int, timestamptz, jsonb, timestamptz
) to service_role;

grant execute on function public.svc_submit_answer(uuid, uuid, text, text, int, timestamptz) to service_role;

grant execute on function public.svc_get_submission(uuid) to service_role;

-- Called by signed-in people; it checks by itself that the caller is the right tutor.

grant execute on function private.grade_practice(uuid, numeric, text) to authenticated;

grant execute on function public.grade_practice(uuid, numeric, text) to authenticated;

create policy select_not_explained on public.practice_attempts as restrictive for select to anon, authenticated
using (private.not_explained());
comment on policy select_not_explained on public.practice_attempts is
    'Estimates of row counts depend on rows of others, so REST sessions get none.';

create policy select_not_explained on public.practice_reviews as restrictive for select to anon, authenticated
using (private.not_explained());
comment on policy select_not_explained on public.practice_reviews is
    'Estimates of row counts depend on rows of others, so REST sessions get none.';
