-- A question that a student asked the companion, and the answer, which a worker writes into a stream (questions.sql).
-- The service writes it; apply_override corrects it. Parents and staff do not read it. A tutor it was escalated to
-- reads it while tutoring the student.

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
    status public.message_status not null default 'complete',
    external_id text,
    subject_id uuid,
    assignment_id uuid,
    catalog_course_ids uuid[] not null default '{}',
    citations jsonb not null default '[]',
    clarification_question text,
    escalated_at timestamptz,
    escalation_note text,
    raw_score numeric(4, 3),
    calibrator_version int,
    finish_reason text,
    error_code text,
    model text,
    prompt_version text,
    metrics jsonb not null default '{}',
    job_id uuid,

    constraint qa_interactions_student_id_external_id_key unique (student_id, external_id),
    constraint qa_interactions_student_id_fkey
        foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint qa_interactions_escalated_to_tutor_id_fkey
        foreign key (escalated_to_tutor_id) references public.profiles(user_id) on delete set null,
    constraint qa_interactions_query_check check (char_length(query) between 1 and 20000),
    constraint qa_interactions_answer_check check (char_length(answer) <= 100000),
    constraint qa_interactions_confidence_score_check check (confidence_score between 0 and 1),
    constraint qa_interactions_override_id_check check (override_id is null or overridden),
    constraint qa_interactions_subject_id_fkey
        foreign key (subject_id) references public.subjects(id) on delete restrict,
    constraint qa_interactions_assignment_id_fkey
        foreign key (assignment_id) references public.assignments(id) on delete set null,
    constraint qa_interactions_external_id_check check (char_length(external_id) between 1 and 255),
    constraint qa_interactions_citations_check check (jsonb_typeof(citations) = 'array'),
    constraint qa_interactions_metrics_check check (jsonb_typeof(metrics) = 'object'),
    constraint qa_interactions_clarification_question_check check (char_length(clarification_question) <= 2000),
    constraint qa_interactions_escalation_note_check check (char_length(escalation_note) <= 2000),
    constraint qa_interactions_raw_score_check check (raw_score between 0 and 1)
);

create index idx_qa_student on public.qa_interactions (student_id, created_at desc) include (escalated_to_tutor_id);
-- Unsure answers are asked for by student. Under row level security a condition on an enum cannot drive an index, so
-- the condition is the index's own.
create index idx_qa_confidence on public.qa_interactions (student_id, created_at) where confidence = 'Low';
create index idx_qa_created on public.qa_interactions (created_at);
-- for what was escalated to a tutor
create index idx_qa_interactions_escalated_to_tutor_id on public.qa_interactions (escalated_to_tutor_id, student_id)
where escalated_to_tutor_id is not null;
create index idx_qa_interactions_subject_id on public.qa_interactions (subject_id) where subject_id is not null;
create index idx_qa_interactions_assignment_id on public.qa_interactions (assignment_id)
where assignment_id is not null;
create index idx_qa_interactions_job_id on public.qa_interactions (job_id);
-- for the sweep of answers whose writer died
create index idx_qa_interactions_streaming on public.qa_interactions (created_at) where status = 'streaming';
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
comment on column public.qa_interactions.confidence is
    'How likely the answer is right, from evidence and never from the model''s word; Low while it is being written.';
comment on column public.qa_interactions.confidence_score is
    'The same as a number: the calibrated chance that the answer is right, 0 to 1.';
comment on column public.qa_interactions.context_subjects is 'Names of the subjects it drew on.';
comment on column public.qa_interactions.clarification_requested is 'Whether the answer asked the student to clarify.';
comment on column public.qa_interactions.out_of_scope is 'Whether the question was outside the companion''s scope.';
comment on column public.qa_interactions.tutor_escalation_suggested is 'Whether a tutor was offered.';
comment on column public.qa_interactions.escalated_to_tutor_id is 'The tutor it was escalated to.';
comment on column public.qa_interactions.disclaimer_shown is 'Whether the student was told that a model answers.';
comment on column public.qa_interactions.overridden is 'Whether a tutor corrected it.';
comment on column public.qa_interactions.override_id is 'The latest correction.';
comment on column public.qa_interactions.created_at is 'When the row was written.';
comment on column public.qa_interactions.status is
    'streaming while the answer is written, then how it ended. answer is empty until then.';
comment on column public.qa_interactions.external_id is 'The caller''s own id: the same one never asks twice.';
comment on column public.qa_interactions.subject_id is 'The subject that the student named.';
comment on column public.qa_interactions.assignment_id is 'The assignment in Canvas that the student named.';
comment on column public.qa_interactions.catalog_course_ids is 'The courses whose material was searched; empty: all.';
comment on column public.qa_interactions.citations is
    'What the answer cites: [{n, kind, source_id, chunk_id, quote, page_start, start_second}]. n stands in the answer '
    'as [n]. Each quote stood in its fragment word for word.';
comment on column public.qa_interactions.clarification_question is 'What the companion asks back.';
comment on column public.qa_interactions.escalated_at is 'When it was escalated.';
comment on column public.qa_interactions.escalation_note is 'What the student wrote to the tutor.';
comment on column public.qa_interactions.raw_score is 'The score of the evidence before calibration, 0 to 1.';
comment on column public.qa_interactions.calibrator_version is
    'Which calibrator made confidence_score of raw_score; a newer one changes no row.';
comment on column public.qa_interactions.finish_reason is 'Why the model ended.';
comment on column public.qa_interactions.error_code is 'Why there is no whole answer; see docs/errors.md.';
comment on column public.qa_interactions.model is 'The model that wrote it.';
comment on column public.qa_interactions.prompt_version is 'The version of the prompt.';
comment on column public.qa_interactions.metrics is 'Calls, tokens, cost, times and the evidence of this answer.';
comment on column public.qa_interactions.job_id is 'The job that writes the answer.';
