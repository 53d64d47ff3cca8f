-- What the brand agent made of a week: themes, numbers and texts for presenting the work. The job brand_package writes
-- it; the week's owner reads it.

create table public.brand_packages (
    id uuid primary key default gen_random_uuid(),
    week_id uuid not null,
    mode text,
    content_themes text[] not null default '{}',
    kpi_metrics jsonb not null default '{}',
    social_content_suggestions jsonb not null default '[]',
    brand_voice_analysis text,
    engagement_strategies text[] not null default '{}',
    assets jsonb not null default '[]',
    sources jsonb not null default '[]',
    model text,
    prompt_version text,
    job_id uuid,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint brand_packages_week_id_fkey foreign key (week_id) references public.weeks(id) on delete cascade,
    constraint brand_packages_model_check check (char_length(model) <= 200),
    constraint brand_packages_prompt_version_check check (char_length(prompt_version) <= 100),
    constraint brand_packages_mode_check check (char_length(mode) <= 200),
    constraint brand_packages_kpi_metrics_check check (jsonb_typeof(kpi_metrics) = 'object'),
    constraint brand_packages_social_content_suggestions_check
        check (jsonb_typeof(social_content_suggestions) = 'array'),
    constraint brand_packages_brand_voice_analysis_check check (char_length(brand_voice_analysis) <= 100000),
    constraint brand_packages_assets_check check (jsonb_typeof(assets) = 'array'),
    constraint brand_packages_sources_check check (jsonb_typeof(sources) = 'array')
);

create index idx_brand_packages_week_id on public.brand_packages (week_id);
-- a job writes its row once, however often it runs
create unique index uq_brand_packages_job_id on public.brand_packages (job_id) where job_id is not null;

comment on table public.brand_packages is 'Material for presenting a week''s work, written by the brand agent.';
comment on column public.brand_packages.id is 'Identity of the row.';
comment on column public.brand_packages.week_id is 'The week.';
comment on column public.brand_packages.mode is 'The kind of package; any text.';
comment on column public.brand_packages.content_themes is 'Themes to write about.';
comment on column public.brand_packages.kpi_metrics is 'Numbers to show.';
comment on column public.brand_packages.social_content_suggestions is 'Posts to make.';
comment on column public.brand_packages.brand_voice_analysis is 'How the person comes across.';
comment on column public.brand_packages.engagement_strategies is 'How to reach readers.';
comment on column public.brand_packages.assets is 'Pictures and files to use.';
comment on column public.brand_packages.sources is
    'Which rows of the week each theme and statement comes from: part, text, sources.';
comment on column public.brand_packages.model is 'The model that wrote it.';
comment on column public.brand_packages.prompt_version is 'The prompt it was asked with.';
comment on column public.brand_packages.job_id is 'The job that wrote it; null once the job is forgotten.';
comment on column public.brand_packages.created_at is 'When the row was written.';
comment on column public.brand_packages.updated_at is 'When the row last changed; kept by trigger.';

create trigger trg_brand_packages_updated_at before update on public.brand_packages
for each row execute function public.set_updated_at();
