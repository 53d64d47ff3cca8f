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
    answer_kind public.practice_answer_kind not null default 'text',
    choices text[],
    tolerance numeric,
    language text not null default 'en',
    created_by uuid default private.caller_id(),
    version int not null default 1,
    is_active boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    is_generated boolean not null default false,
    student_id uuid,

    constraint practice_bank_items_subject_id_fkey
        foreign key (subject_id) references public.subjects(id) on delete restrict,
    constraint practice_bank_items_created_by_fkey
        foreign key (created_by) references public.profiles(user_id) on delete set null,
    constraint practice_bank_items_student_id_fkey
        foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint practice_bank_items_question_text_check check (char_length(question_text) between 1 and 20000),
    constraint practice_bank_items_difficulty_level_check check (difficulty_level between 1 and 10),
    constraint practice_bank_items_elo_rating_check check (elo_rating between 100 and 3000),
    constraint practice_bank_items_version_check check (version >= 1),
    constraint practice_bank_items_choices_check check (
        case
            when answer_kind = 'choice' then choices is not null and cardinality(choices) between 2 and 8
            else choices is null
        end
        and array_position(choices, null) is null
    ),
    constraint practice_bank_items_tolerance_check check (
        tolerance is null or (answer_kind = 'numeric' and tolerance >= 0 and tolerance < 'infinity')
    ),
    constraint practice_bank_items_language_check check (language ~ '^[a-z]{2}$')
);

-- for choosing an item near a rating
create index idx_pbi_subject on public.practice_bank_items (subject_id, elo_rating);
create index idx_pbi_difficulty on public.practice_bank_items (difficulty_level);
create index idx_pbi_active on public.practice_bank_items (subject_id, difficulty_level) where is_active;
create index idx_pbi_goal_tags on public.practice_bank_items using gin (goal_tags);
create index idx_practice_bank_items_topic_tags on public.practice_bank_items using gin (topic_tags);
create index idx_practice_bank_items_created_by on public.practice_bank_items (created_by);
create index idx_practice_bank_items_student_id on public.practice_bank_items (student_id)
where student_id is not null;

comment on table public.practice_bank_items is 'Questions of the practice bank.';
comment on column public.practice_bank_items.id is 'Identity of the row.';
comment on column public.practice_bank_items.question_text is 'The question.';
comment on column public.practice_bank_items.subject_id is 'Its subject.';
comment on column public.practice_bank_items.difficulty_level is '1 (easy) to 10, as its author sees it.';
comment on column public.practice_bank_items.elo_rating is
    'Difficulty by students'' results; begins with 450 + 100 x difficulty_level.';
comment on column public.practice_bank_items.goal_tags is 'Goals it serves.';
comment on column public.practice_bank_items.topic_tags is 'Topics it covers.';
comment on column public.practice_bank_items.answer_kind is 'How its answers are graded.';
comment on column public.practice_bank_items.choices is
    'What may be chosen, 2 to 8 texts; only for answer_kind choice.';
comment on column public.practice_bank_items.tolerance is
    'How far a number may be from the right one, in the unit of the answer; only for answer_kind numeric.';
comment on column public.practice_bank_items.language is
    'Two letters, such as en or de; decides whether 1,234 has thousands or decimals.';
comment on column public.practice_bank_items.created_by is 'Its author; null when that account is deleted.';
comment on column public.practice_bank_items.version is 'Raised by trigger when question or answer changes.';
comment on column public.practice_bank_items.is_active is 'Whether it may be assigned.';
comment on column public.practice_bank_items.created_at is 'When the row was written.';
comment on column public.practice_bank_items.updated_at is 'When the row last changed; kept by trigger.';
comment on column public.practice_bank_items.is_generated is
    'Whether a model wrote it and a tutor, its author, accepted it.';
comment on column public.practice_bank_items.student_id is
    'The only student who is asked it, because it is made of their own material; null for everybody.';

create function private.practice_item_defaults()
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

create trigger trg_practice_bank_items_columns before update on public.practice_bank_items
for each row execute function private.keep_columns(
    'question_text', 'subject_id', 'difficulty_level', 'goal_tags', 'topic_tags', 'answer_kind', 'choices', 'tolerance',
    'language', 'is_active'
);
create trigger trg_practice_bank_items_defaults before insert or update on public.practice_bank_items
for each row execute function private.practice_item_defaults();
create trigger trg_practice_bank_items_updated_at before update on public.practice_bank_items
for each row execute function public.set_updated_at();
