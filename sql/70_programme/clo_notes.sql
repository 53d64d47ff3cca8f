-- What the agent for learning objectives (clo) wrote about a week. The job week_notes writes it; the week's owner reads
-- it.

create table public.clo_notes (
    id uuid primary key default gen_random_uuid(),
    week_id uuid not null,
    module_title text not null,
    learning_objectives text[] not null default '{}',
    key_concepts text[] not null default '{}',
    estimated_duration int,
    prerequisites text[] not null default '{}',
    resources jsonb not null default '[]',
    assessment_criteria text[] not null default '{}',
    content jsonb not null default '{}',
    model text,
    prompt_version text,
    job_id uuid,
    read_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint clo_notes_week_id_fkey foreign key (week_id) references public.weeks(id) on delete cascade,
    constraint clo_notes_model_check check (char_length(model) <= 200),
    constraint clo_notes_prompt_version_check check (char_length(prompt_version) <= 100),
    constraint clo_notes_module_title_check check (char_length(module_title) between 1 and 500),
    constraint clo_notes_estimated_duration_check check (estimated_duration >= 0),
    constraint clo_notes_resources_check check (jsonb_typeof(resources) = 'array'),
    constraint clo_notes_content_check check (jsonb_typeof(content) = 'object')
);

create index idx_clo_notes_week_id on public.clo_notes (week_id);
-- a job writes its row once, however often it runs
create unique index uq_clo_notes_job_id on public.clo_notes (job_id) where job_id is not null;

comment on table public.clo_notes is 'Learning objectives of a week, written by the clo agent.';
comment on column public.clo_notes.id is 'Identity of the row.';
comment on column public.clo_notes.week_id is 'The week.';
comment on column public.clo_notes.module_title is 'Title of the module.';
comment on column public.clo_notes.learning_objectives is 'What the person will be able to do.';
comment on column public.clo_notes.key_concepts is 'Ideas to understand.';
comment on column public.clo_notes.estimated_duration is 'Minutes the module takes.';
comment on column public.clo_notes.prerequisites is 'What should be known before.';
comment on column public.clo_notes.resources is 'Reading and links, in order.';
comment on column public.clo_notes.assessment_criteria is 'How to tell that it is learnt.';
comment on column public.clo_notes.content is 'Anything else the agent wrote.';
comment on column public.clo_notes.model is 'The model that wrote it.';
comment on column public.clo_notes.prompt_version is 'The prompt it was asked with.';
comment on column public.clo_notes.job_id is 'The job that wrote it; null once the job is forgotten.';
comment on column public.clo_notes.read_at is 'When the learner first read it; see mark_note_read.';
comment on column public.clo_notes.created_at is 'When the row was written.';
comment on column public.clo_notes.updated_at is 'When the row last changed; kept by trigger.';

create trigger trg_clo_notes_updated_at before update on public.clo_notes
for each row execute function public.set_updated_at();
