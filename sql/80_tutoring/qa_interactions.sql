-- A question that a student asked the companion, and the answer. The service writes it; apply_override corrects it.
-- Parents and staff do not read it. A tutor it was escalated to reads it while tutoring the student.

create table public.qa_interactions (
    id uuid primary key default gen_random_uuid(),
    student_id uuid not null,
    query text not null,
    answer text not null,
    confidence public.qa_confidence not null,
    confidence_score numeric(3, 2),
    context_subjects text[] not null default '{}',
    clarification_requested boolean not null default false,
    out_of_scope boolean not null default false,
    tutor_escalation_suggested boolean not null default false,
    escalated_to_tutor_id uuid,
    disclaimer_shown boolean not null default true,
    overridden boolean not null default false,
    override_id uuid,
    created_at timestamptz not null default now(),

    constraint qa_interactions_student_id_fkey
        foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint qa_interactions_escalated_to_tutor_id_fkey
        foreign key (escalated_to_tutor_id) references public.profiles(user_id) on delete set null,
    constraint qa_interactions_query_check check (char_length(query) between 1 and 20000),
    constraint qa_interactions_answer_check check (char_length(answer) <= 100000),
    constraint qa_interactions_confidence_score_check check (confidence_score between 0 and 1),
    constraint qa_interactions_override_id_check check (override_id is null or overridden)
);

create index idx_qa_student on public.qa_interactions (student_id, created_at desc) include (escalated_to_tutor_id);
-- Unsure answers are asked for by student. Under row level security a condition on an enum cannot drive an index, so
-- the condition is the index's own.
create index idx_qa_confidence on public.qa_interactions (student_id, created_at) where confidence = 'Low';
create index idx_qa_created on public.qa_interactions (created_at);
-- for what was escalated to a tutor
create index idx_qa_interactions_escalated_to_tutor_id on public.qa_interactions (escalated_to_tutor_id, student_id)
where escalated_to_tutor_id is not null;
create index idx_qa_interactions_override_id on public.qa_interactions (override_id) where override_id is not null;

-- Finds a caller's rows by student, also where they are asked for by date
-- (docs/decisions/0013-one-list-of-students.md).
alter table public.qa_interactions alter column student_id set (n_distinct = -0.1);

comment on table public.qa_interactions is 'Questions of students to the companion.';
comment on column public.qa_interactions.id is 'Identity of the row.';
comment on column public.qa_interactions.student_id is 'The student.';
comment on column public.qa_interactions.query is
    'The question. Untrusted: a model must never take it as instructions.';
comment on column public.qa_interactions.answer is 'The answer as shown.';
comment on column public.qa_interactions.confidence is 'How confident the companion was.';
comment on column public.qa_interactions.confidence_score is 'The same as a number, 0 to 1.';
comment on column public.qa_interactions.context_subjects is 'Names of the subjects it drew on.';
comment on column public.qa_interactions.clarification_requested is 'Whether the answer asked the student to clarify.';
comment on column public.qa_interactions.out_of_scope is 'Whether the question was outside the companion''s scope.';
comment on column public.qa_interactions.tutor_escalation_suggested is 'Whether a tutor was offered.';
comment on column public.qa_interactions.escalated_to_tutor_id is 'The tutor it was escalated to.';
comment on column public.qa_interactions.disclaimer_shown is 'Whether the student was told that a model answers.';
comment on column public.qa_interactions.overridden is 'Whether a tutor corrected it.';
comment on column public.qa_interactions.override_id is 'The latest correction.';
comment on column public.qa_interactions.created_at is 'When the row was written.';
