-- What the assistant wrote for a teacher. The job content_generation writes it once; the teacher edits and approves it
-- over REST. Its class, source, thread or job may be deleted; the work stays.

create table public.generated_content (
    id uuid primary key default gen_random_uuid(),
    teacher_id uuid not null,
    class_id uuid,
    content_source_id uuid,
    thread_id uuid,
    job_id uuid,
    kind public.generated_content_kind not null,
    title text not null,
    content_md text,
    content jsonb not null default '{}',
    model text,
    prompt_version text,
    instructions text,
    citations jsonb not null default '[]',
    metrics jsonb not null default '{}',
    error_code text,
    status public.generated_content_status not null default 'draft',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint generated_content_teacher_id_fkey
        foreign key (teacher_id) references public.teachers(id) on delete cascade,
    constraint generated_content_class_id_fkey
        foreign key (class_id, teacher_id) references public.classes(id, teacher_id) on delete set null (class_id),
    constraint generated_content_content_source_id_fkey
        foreign key (content_source_id, teacher_id) references public.content_sources(id, teacher_id)
        on delete set null (content_source_id),
    constraint generated_content_thread_id_fkey
        foreign key (thread_id, teacher_id) references public.threads(id, teacher_id) on delete set null (thread_id),
    constraint generated_content_title_check check (char_length(title) between 1 and 500),
    constraint generated_content_content_md_check check (char_length(content_md) <= 500000),
    constraint generated_content_content_check check (jsonb_typeof(content) = 'object'),
    constraint generated_content_model_check check (char_length(model) <= 200),
    constraint generated_content_prompt_version_check check (char_length(prompt_version) <= 100),
    constraint generated_content_instructions_check check (char_length(instructions) <= 20000),
    constraint generated_content_citations_check check (jsonb_typeof(citations) = 'array'),
    constraint generated_content_metrics_check check (jsonb_typeof(metrics) = 'object'),
    constraint generated_content_error_code_check check (char_length(error_code) <= 100)
);

-- for a teacher's work, newest first
create index idx_generated_content_teacher_id on public.generated_content (teacher_id, created_at desc);
create index idx_generated_content_class_id on public.generated_content (class_id, teacher_id);
create index idx_generated_content_content_source_id on public.generated_content (content_source_id, teacher_id);
create index idx_generated_content_thread_id on public.generated_content (thread_id, teacher_id);
create index idx_generated_content_job_id on public.generated_content (job_id);
-- for the sweep of content whose job is gone
create index idx_generated_content_unwritten on public.generated_content (created_at)
where content_md is null and error_code is null;

comment on table public.generated_content is
    'Lesson plans, quizzes, rubrics and the like that the assistant wrote for a teacher.';
comment on column public.generated_content.id is 'Identity of the row.';
comment on column public.generated_content.teacher_id is 'The teacher.';
comment on column public.generated_content.class_id is 'The class it is for.';
comment on column public.generated_content.content_source_id is 'The material it was made from.';
comment on column public.generated_content.thread_id is 'The conversation that asked for it.';
comment on column public.generated_content.job_id is 'The job that wrote it.';
comment on column public.generated_content.kind is 'What it is.';
comment on column public.generated_content.title is 'Shown in lists.';
comment on column public.generated_content.content_md is
    'The work as Markdown: what content renders to. Null until it is written.';
comment on column public.generated_content.content is
    'The work in parts (questions of a quiz, rows of a rubric); {"markdown": text} once somebody edited content_md.';
comment on column public.generated_content.model is 'The model that wrote it.';
comment on column public.generated_content.prompt_version is 'Version of the prompt file used.';
comment on column public.generated_content.instructions is 'What the teacher asked for.';
comment on column public.generated_content.citations is
    'What the text quotes, by the number that stands in it: as in messages.';
comment on column public.generated_content.metrics is 'Attempts, tokens and cost of writing it.';
comment on column public.generated_content.error_code is 'Why it was not written: a code of docs/errors.md.';
comment on column public.generated_content.status is 'draft, approved or archived.';
comment on column public.generated_content.created_at is 'When the row was written.';
comment on column public.generated_content.updated_at is 'When the row last changed; kept by trigger.';

create trigger trg_generated_content_columns before update on public.generated_content
for each row execute function private.keep_columns('title', 'content_md', 'content', 'class_id', 'status');
create trigger trg_generated_content_status before insert or update of status on public.generated_content
for each row execute function private.enforce_transition(
    'status', '>draft', 'draft>approved', 'draft>archived', 'approved>draft', 'approved>archived', 'archived>draft'
);
create trigger trg_generated_content_updated_at before update on public.generated_content
for each row execute function public.set_updated_at();
