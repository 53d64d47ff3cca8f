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
    answer_kind public.practice_answer_kind not null default 'text',
    choices text[],
    subject_id uuid,
    difficulty_level int,
    goal_tags text[] not null default '{}',
    goal_id uuid,
    is_review boolean not null default false,
    out_of_zone boolean not null default false,
    expected_success double precision,
    pick_seed bigint,
    hints_used smallint not null default 0,
    review_state public.practice_review_state not null default 'none',
    student_rating_before int,
    student_rating_after int,
    performance_score numeric(4, 3),
    completed boolean not null default false,
    completed_at timestamptz,
    overridden boolean not null default false,
    override_id uuid,
    assigned_at timestamptz not null default now(),
    created_at timestamptz not null default now(),
    topic_tags text[] not null default '{}',
    tolerance numeric,
    language text,
    reviewed_at timestamptz,
    reviewed_by uuid,

    constraint practice_assignments_student_id_fkey
        foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint practice_assignments_bank_item_id_fkey
        foreign key (bank_item_id) references public.practice_bank_items(id) on delete restrict,
    constraint practice_assignments_subject_id_fkey
        foreign key (subject_id) references public.subjects(id) on delete restrict,
    constraint practice_assignments_goal_id_fkey
        foreign key (goal_id) references public.goals(id) on delete set null,
    constraint practice_assignments_reviewed_by_fkey
        foreign key (reviewed_by) references public.profiles(user_id) on delete set null,
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
    constraint practice_assignments_override_id_check check (override_id is null or overridden),
    constraint practice_assignments_choices_check check (
        (answer_kind = 'choice') = (choices is not null) and cardinality(choices) between 2 and 8
        and array_position(choices, null) is null
    ),
    constraint practice_assignments_expected_success_check check (expected_success between 0 and 1),
    constraint practice_assignments_hints_used_check check (hints_used between 0 and 3),
    constraint practice_assignments_review_state_check check (not (completed and review_state = 'needs_review')),
    constraint practice_assignments_tolerance_check check (
        tolerance is null or (answer_kind = 'numeric' and tolerance >= 0 and tolerance < 'infinity')
    ),
    constraint practice_assignments_language_check check (language ~ '^[a-z]{2}$')
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
create index idx_practice_assignments_goal_id on public.practice_assignments (goal_id) where goal_id is not null;
-- for a tutor's list of withheld scores
create index idx_practice_assignments_needs_review on public.practice_assignments (assigned_at)
where review_state = 'needs_review';
create index idx_practice_assignments_reviewed_by on public.practice_assignments (reviewed_by)
where reviewed_by is not null;
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
comment on column public.practice_assignments.student_rating_before is 'The student''s rating before completion.';
comment on column public.practice_assignments.student_rating_after is 'The student''s rating after completion.';
comment on column public.practice_assignments.performance_score is '0 to 1; set on completion.';
comment on column public.practice_assignments.completed is 'Whether it is done; stays true.';
comment on column public.practice_assignments.completed_at is 'When it was done.';
comment on column public.practice_assignments.overridden is 'Whether a tutor corrected it.';
comment on column public.practice_assignments.override_id is 'The latest correction.';
comment on column public.practice_assignments.assigned_at is 'When it was given to the student.';
comment on column public.practice_assignments.created_at is 'When the row was written.';
comment on column public.practice_assignments.topic_tags is
    'Topics of a question of the model; an item of the bank has its own.';
comment on column public.practice_assignments.tolerance is
    'How far a number may be from the right one; only for a numeric question of the model.';
comment on column public.practice_assignments.language is
    'Two letters, of a question of the model; decides whether 1,234 has thousands or decimals.';
comment on column public.practice_assignments.reviewed_at is
    'When a tutor accepted or refused a question of the model. An accepted one is an item of the bank since.';
comment on column public.practice_assignments.reviewed_by is 'The tutor who did; null when that account is deleted.';

create function private.is_refused(p_practice public.practice_assignments)
returns boolean
language sql
immutable
set search_path = ''
as $$
    select p_practice.source = 'ai_generated' and p_practice.reviewed_at is not null;
$$;

comment on function private.is_refused(public.practice_assignments) is
    'Whether a tutor has refused this question of the model, so that it is not asked again.';

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
    if exists (
        select from public.practice_bank_items where id = new.bank_item_id and student_id <> new.student_id
    ) then
        raise exception 'the bank item is kept for another student' using errcode = '23514',
            hint = 'Choose an item without student_id.';
    end if;
    return null;
end
$$;

comment on function private.refuse_inactive_item() is
    'AFTER INSERT on practice_assignments: 23514 for an inactive item, or one that is kept for another student. A '
    'BEFORE trigger would answer ahead of row level security, and so tell strangers which items are inactive.';

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

create function private.keep_practice_completed()
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

create trigger trg_practice_assignments_columns before update on public.practice_assignments
for each row execute function private.keep_columns('flagged');
create trigger trg_practice_assignments_completed before update on public.practice_assignments
for each row when (old.completed) execute function private.keep_practice_completed();
create trigger trg_practice_assignments_defaults before insert on public.practice_assignments
for each row execute function private.practice_assignment_defaults();
create trigger trg_practice_assignments_active after insert on public.practice_assignments
for each row when (new.bank_item_id is not null) execute function private.refuse_inactive_item();
