-- The answer to a bank item, in a table of its own: students may read it only after they completed the item.

create table public.practice_bank_answers (
    item_id uuid primary key,
    answer_text text not null,
    explanation text,
    accepted_answers text[] not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint practice_bank_answers_item_id_fkey
        foreign key (item_id) references public.practice_bank_items(id) on delete cascade,
    constraint practice_bank_answers_answer_text_check check (char_length(answer_text) between 1 and 20000),
    constraint practice_bank_answers_explanation_check check (char_length(explanation) <= 20000),
    constraint practice_bank_answers_accepted_answers_check check (
        cardinality(accepted_answers) <= 50 and array_position(accepted_answers, null) is null
    )
);

comment on table public.practice_bank_answers is 'Answers to bank items.';
comment on column public.practice_bank_answers.item_id is 'The item.';
comment on column public.practice_bank_answers.answer_text is 'The answer.';
comment on column public.practice_bank_answers.explanation is 'Why it is right.';
comment on column public.practice_bank_answers.accepted_answers is 'Other answers that are right, too.';
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
for each row execute function private.keep_columns('answer_text', 'explanation', 'accepted_answers');
create trigger trg_practice_bank_answers_version after update of answer_text, explanation, accepted_answers
on public.practice_bank_answers
for each row when (
    (old.answer_text, old.explanation, old.accepted_answers)
    is distinct from (new.answer_text, new.explanation, new.accepted_answers)
)
execute function private.raise_item_version();
create trigger trg_practice_bank_answers_updated_at before update on public.practice_bank_answers
for each row execute function public.set_updated_at();
