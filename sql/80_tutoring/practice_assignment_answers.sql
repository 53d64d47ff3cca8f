-- The model's answer to a question it wrote, in a table of its own: students read it only after they completed the
-- question.

create table public.practice_assignment_answers (
    practice_assignment_id uuid primary key,
    ai_answer_text text not null,
    ai_explanation text,
    created_at timestamptz not null default now(),
    accepted_answers text[] not null default '{}',
    citations jsonb not null default '[]',

    constraint practice_assignment_answers_practice_assignment_id_fkey
        foreign key (practice_assignment_id) references public.practice_assignments(id) on delete cascade,
    constraint practice_assignment_answers_ai_answer_text_check check (char_length(ai_answer_text) between 1 and 20000),
    constraint practice_assignment_answers_ai_explanation_check check (char_length(ai_explanation) <= 20000),
    constraint practice_assignment_answers_accepted_answers_check check (
        cardinality(accepted_answers) <= 50 and array_position(accepted_answers, null) is null
    ),
    constraint practice_assignment_answers_citations_check check (jsonb_typeof(citations) = 'array')
);

comment on table public.practice_assignment_answers is 'Answers to practice questions the model wrote.';
comment on column public.practice_assignment_answers.practice_assignment_id is 'The practice assignment.';
comment on column public.practice_assignment_answers.ai_answer_text is 'The answer.';
comment on column public.practice_assignment_answers.ai_explanation is 'Why it is right.';
comment on column public.practice_assignment_answers.created_at is 'When the row was written.';
comment on column public.practice_assignment_answers.accepted_answers is 'Other answers that are right, too.';
comment on column public.practice_assignment_answers.citations is
    'Where it stands in the material: [{kind, source_id, chunk_id, quote, page_start, start_second}]. It is here and '
    'not with the question, because the quote often is the answer.';
