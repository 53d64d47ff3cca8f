-- What the engineering agent wrote about a week's code. The job week_notes writes it; the week's owner reads it.

create table public.engineer_notes (
    id uuid primary key default gen_random_uuid(),
    week_id uuid not null,
    repository_url text,
    analysis_summary text,
    code_quality_score int,
    recommendations jsonb not null default '[]',
    technical_debt_items jsonb not null default '[]',
    best_practices_followed text[] not null default '{}',
    areas_for_improvement text[] not null default '{}',
    content jsonb not null default '{}',
    model text,
    prompt_version text,
    job_id uuid,
    read_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint engineer_notes_week_id_fkey foreign key (week_id) references public.weeks(id) on delete cascade,
    constraint engineer_notes_model_check check (char_length(model) <= 200),
    constraint engineer_notes_prompt_version_check check (char_length(prompt_version) <= 100),
    constraint engineer_notes_repository_url_check
        check (repository_url ~ '^https://' and char_length(repository_url) <= 2000),
    constraint engineer_notes_analysis_summary_check check (char_length(analysis_summary) <= 100000),
    constraint engineer_notes_code_quality_score_check check (code_quality_score between 0 and 100),
    constraint engineer_notes_recommendations_check check (jsonb_typeof(recommendations) = 'array'),
    constraint engineer_notes_technical_debt_items_check check (jsonb_typeof(technical_debt_items) = 'array'),
    constraint engineer_notes_content_check check (jsonb_typeof(content) = 'object')
);

create index idx_engineer_notes_week_id on public.engineer_notes (week_id);
-- a job writes its row once, however often it runs
create unique index uq_engineer_notes_job_id on public.engineer_notes (job_id) where job_id is not null;

comment on table public.engineer_notes is 'Notes on a week''s code, written by the engineer agent.';
comment on column public.engineer_notes.id is 'Identity of the row.';
comment on column public.engineer_notes.week_id is 'The week.';
comment on column public.engineer_notes.repository_url is 'The repository that was read.';
comment on column public.engineer_notes.analysis_summary is 'The findings as Markdown text.';
comment on column public.engineer_notes.code_quality_score is '0 (poor) to 100.';
comment on column public.engineer_notes.recommendations is 'What to change, the most important first.';
comment on column public.engineer_notes.technical_debt_items is 'Technical debt that was found.';
comment on column public.engineer_notes.best_practices_followed is 'What is done well.';
comment on column public.engineer_notes.areas_for_improvement is 'What to learn next.';
comment on column public.engineer_notes.content is 'Anything else the agent wrote.';
comment on column public.engineer_notes.model is 'The model that wrote it.';
comment on column public.engineer_notes.prompt_version is 'The prompt it was asked with.';
comment on column public.engineer_notes.job_id is 'The job that wrote it; null once the job is forgotten.';
comment on column public.engineer_notes.read_at is 'When the learner first read it; see mark_note_read.';
comment on column public.engineer_notes.created_at is 'When the row was written.';
comment on column public.engineer_notes.updated_at is 'When the row last changed; kept by trigger.';

create trigger trg_engineer_notes_updated_at before update on public.engineer_notes
for each row execute function public.set_updated_at();
