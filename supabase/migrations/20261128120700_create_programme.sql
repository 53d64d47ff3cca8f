-- Tables, functions and views of the room 70_programme.
-- Touches: 70_programme. Undo: drop what it creates, newest first; nothing in it destroys data.

set lock_timeout = '5s';

create type public.week_status as enum ('planned', 'active', 'completed', 'archived');
comment on type public.week_status is
    'planned. active: being worked on. completed: done; can become active again. archived: final.';

create type public.kpi_trend as enum ('up', 'down', 'stable');
comment on type public.kpi_trend is 'The direction of a metric: the sign of its delta.';

create type public.review_depth as enum ('quick', 'standard', 'deep');
comment on type public.review_depth is 'How much of the repository a code review reads.';

create type public.review_status as enum ('pending', 'running', 'completed', 'failed');
comment on type public.review_status is
    'pending: waits for its job. running. completed: result_json is there. failed: see error_message; can be tried '
    'again.';

-- A week of a person's learning programme. Its owner writes it. Notes, sessions and metrics belong to it and are
-- deleted with it.

create table public.weeks (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null default private.caller_id(),
    week_number int not null,
    start_date date not null,
    end_date date not null,
    status public.week_status not null default 'planned',
    focus_area text,
    estimated_hours int,
    actual_hours int,
    completion_percentage int not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint weeks_user_id_fkey foreign key (user_id) references public.profiles(user_id) on delete cascade,
    constraint weeks_user_id_week_number_key unique (user_id, week_number),
    constraint weeks_id_user_id_key unique (id, user_id),
    constraint weeks_week_number_check check (week_number >= 1),
    -- infinite days and years that clients cannot read
    constraint weeks_start_date_check check (start_date >= '0001-01-01'),
    constraint weeks_end_date_check check (end_date >= start_date and end_date <= '9999-12-31'),
    constraint weeks_focus_area_check check (char_length(focus_area) <= 2000),
    constraint weeks_estimated_hours_check check (estimated_hours >= 0),
    constraint weeks_actual_hours_check check (actual_hours >= 0),
    constraint weeks_completion_percentage_check check (completion_percentage between 0 and 100)
);

comment on table public.weeks is 'Weeks of a learning programme, numbered per person.';
comment on column public.weeks.id is 'Identity of the row.';
comment on column public.weeks.user_id is 'Whose programme.';
comment on column public.weeks.week_number is 'Number within the programme, from 1.';
comment on column public.weeks.start_date is 'First day.';
comment on column public.weeks.end_date is 'Last day, inclusive.';
comment on column public.weeks.status is 'Its state.';
comment on column public.weeks.focus_area is 'What the week is about.';
comment on column public.weeks.estimated_hours is 'Hours planned.';
comment on column public.weeks.actual_hours is 'Hours spent.';
comment on column public.weeks.completion_percentage is 'How much is done, 0 to 100.';
comment on column public.weeks.created_at is 'When the row was written.';
comment on column public.weeks.updated_at is 'When the row last changed; kept by trigger.';

create trigger trg_weeks_columns before update on public.weeks
for each row execute function private.keep_columns(
    'week_number', 'start_date', 'end_date', 'status', 'focus_area', 'estimated_hours', 'actual_hours',
    'completion_percentage'
);
create trigger trg_weeks_status before insert or update of status on public.weeks
for each row execute function private.enforce_transition(
    'status', '>planned', '>active', 'planned>active', 'planned>archived', 'active>completed', 'active>archived',
    'completed>active', 'completed>archived'
);
create trigger trg_weeks_updated_at before update on public.weeks
for each row execute function public.set_updated_at();

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
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint clo_notes_week_id_fkey foreign key (week_id) references public.weeks(id) on delete cascade,
    constraint clo_notes_module_title_check check (char_length(module_title) between 1 and 500),
    constraint clo_notes_estimated_duration_check check (estimated_duration >= 0),
    constraint clo_notes_resources_check check (jsonb_typeof(resources) = 'array'),
    constraint clo_notes_content_check check (jsonb_typeof(content) = 'object')
);

create index idx_clo_notes_week_id on public.clo_notes (week_id);

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
comment on column public.clo_notes.created_at is 'When the row was written.';
comment on column public.clo_notes.updated_at is 'When the row last changed; kept by trigger.';

create trigger trg_clo_notes_updated_at before update on public.clo_notes
for each row execute function public.set_updated_at();

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
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint engineer_notes_week_id_fkey foreign key (week_id) references public.weeks(id) on delete cascade,
    constraint engineer_notes_repository_url_check
        check (repository_url ~ '^https://' and char_length(repository_url) <= 2000),
    constraint engineer_notes_analysis_summary_check check (char_length(analysis_summary) <= 100000),
    constraint engineer_notes_code_quality_score_check check (code_quality_score between 0 and 100),
    constraint engineer_notes_recommendations_check check (jsonb_typeof(recommendations) = 'array'),
    constraint engineer_notes_technical_debt_items_check check (jsonb_typeof(technical_debt_items) = 'array'),
    constraint engineer_notes_content_check check (jsonb_typeof(content) = 'object')
);

create index idx_engineer_notes_week_id on public.engineer_notes (week_id);

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
comment on column public.engineer_notes.created_at is 'When the row was written.';
comment on column public.engineer_notes.updated_at is 'When the row last changed; kept by trigger.';

create trigger trg_engineer_notes_updated_at before update on public.engineer_notes
for each row execute function public.set_updated_at();

-- A dialogue in which the agent asks and the learner finds the answers. The learner opens, renames and closes it; the
-- service writes counts and insights. It is open while ended_at is null, and is never opened again.

create table public.socratic_sessions (
    id uuid primary key default gen_random_uuid(),
    week_id uuid not null,
    user_id uuid not null default private.caller_id(),
    topic text not null,
    started_at timestamptz not null default now(),
    ended_at timestamptz,
    total_questions int not null default 0,
    insights_generated text[] not null default '{}',
    voice_enabled boolean not null default false,
    session_metadata jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint socratic_sessions_user_id_fkey
        foreign key (user_id) references public.profiles(user_id) on delete cascade,
    constraint socratic_sessions_week_id_fkey
        foreign key (week_id, user_id) references public.weeks(id, user_id) on delete cascade,
    constraint socratic_sessions_topic_check check (char_length(topic) between 1 and 2000),
    constraint socratic_sessions_ended_at_check
        check (ended_at >= started_at and ended_at < '10000-01-01 00:00:00+00'),
    constraint socratic_sessions_total_questions_check check (total_questions >= 0),
    constraint socratic_sessions_session_metadata_check check (jsonb_typeof(session_metadata) = 'object')
);

-- for a learner's list, newest first
create index idx_socratic_sessions_user_id on public.socratic_sessions (user_id, started_at desc);
create index idx_socratic_sessions_week_id on public.socratic_sessions (week_id, user_id);
-- for finding open ones
create index idx_socratic_sessions_open on public.socratic_sessions (user_id) where ended_at is null;

comment on table public.socratic_sessions is 'Socratic dialogues of a learner with the agent.';
comment on column public.socratic_sessions.id is 'Identity of the row.';
comment on column public.socratic_sessions.week_id is 'The week it belongs to; always the learner''s own.';
comment on column public.socratic_sessions.user_id is 'The learner.';
comment on column public.socratic_sessions.topic is 'What it is about.';
comment on column public.socratic_sessions.started_at is 'When it began.';
comment on column public.socratic_sessions.ended_at is 'When the learner closed it; null while open.';
comment on column public.socratic_sessions.total_questions is 'Questions the agent asked.';
comment on column public.socratic_sessions.insights_generated is 'What the learner found out.';
comment on column public.socratic_sessions.voice_enabled is 'Whether it is spoken.';
comment on column public.socratic_sessions.session_metadata is 'More about the dialogue that needs no column.';
comment on column public.socratic_sessions.created_at is 'When the row was written.';
comment on column public.socratic_sessions.updated_at is 'When the row last changed; kept by trigger.';

create function private.keep_session_ended()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if old.ended_at is not null and new.ended_at is distinct from old.ended_at then
        raise exception 'the session has ended and cannot be opened again' using errcode = '23514',
            hint = 'Start a new session.';
    end if;
    return new;
end
$$;

comment on function private.keep_session_ended() is
    'BEFORE UPDATE OF ended_at on socratic_sessions: refuses to change the end of an ended dialogue (23514).';

create trigger trg_socratic_sessions_columns before update on public.socratic_sessions
for each row execute function private.keep_columns('topic', 'voice_enabled', 'ended_at');
create trigger trg_socratic_sessions_ended before update of ended_at on public.socratic_sessions
for each row execute function private.keep_session_ended();
create trigger trg_socratic_sessions_updated_at before update on public.socratic_sessions
for each row execute function public.set_updated_at();

-- The lines of a Socratic session. Learners write their own while it is open; the service writes the agent's. Nobody
-- edits a line.

create table public.socratic_messages (
    id uuid primary key default gen_random_uuid(),
    session_id uuid not null,
    seq bigint generated always as identity,
    role public.message_role not null,
    content text not null,
    audio_url text,
    transcript text,
    has_transcript boolean generated always as (transcript is not null) stored,
    metadata jsonb not null default '{}',
    occurred_at timestamptz not null default now(),
    created_at timestamptz not null default now(),

    constraint socratic_messages_session_id_fkey
        foreign key (session_id) references public.socratic_sessions(id) on delete cascade,
    constraint socratic_messages_content_check check (char_length(content) <= 100000),
    constraint socratic_messages_audio_url_check check (char_length(audio_url) <= 2000),
    constraint socratic_messages_transcript_check check (char_length(transcript) <= 100000),
    constraint socratic_messages_metadata_check check (jsonb_typeof(metadata) = 'object')
);

-- for a session in order
create index idx_socratic_messages_session_id on public.socratic_messages (session_id, seq);

comment on table public.socratic_messages is 'Lines of Socratic dialogues.';
comment on column public.socratic_messages.id is 'Identity of the row.';
comment on column public.socratic_messages.session_id is 'The dialogue.';
comment on column public.socratic_messages.seq is 'Order within a session.';
comment on column public.socratic_messages.role is 'Who speaks.';
comment on column public.socratic_messages.content is 'What was said, as text.';
comment on column public.socratic_messages.audio_url is 'Where the spoken line is stored.';
comment on column public.socratic_messages.transcript is 'Of a spoken line: what was understood.';
comment on column public.socratic_messages.has_transcript is 'Whether a transcript is there.';
comment on column public.socratic_messages.metadata is 'More about the line that needs no column.';
comment on column public.socratic_messages.occurred_at is 'When it was said.';
comment on column public.socratic_messages.created_at is 'When the row was written.';

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
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint brand_packages_week_id_fkey foreign key (week_id) references public.weeks(id) on delete cascade,
    constraint brand_packages_mode_check check (char_length(mode) <= 200),
    constraint brand_packages_kpi_metrics_check check (jsonb_typeof(kpi_metrics) = 'object'),
    constraint brand_packages_social_content_suggestions_check
        check (jsonb_typeof(social_content_suggestions) = 'array'),
    constraint brand_packages_brand_voice_analysis_check check (char_length(brand_voice_analysis) <= 100000),
    constraint brand_packages_assets_check check (jsonb_typeof(assets) = 'array')
);

create index idx_brand_packages_week_id on public.brand_packages (week_id);

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
comment on column public.brand_packages.created_at is 'When the row was written.';
comment on column public.brand_packages.updated_at is 'When the row last changed; kept by trigger.';

create trigger trg_brand_packages_updated_at before update on public.brand_packages
for each row execute function public.set_updated_at();

-- A number measured in a week of the programme. The service writes it. A trigger derives delta and trend, so that they
-- agree with the values.

create table public.kpi_metrics (
    id uuid primary key default gen_random_uuid(),
    week_id uuid not null,
    user_id uuid not null,
    metric_name text not null,
    metric_category text,
    current_value numeric not null,
    target_value numeric,
    previous_value numeric,
    delta numeric,
    trend public.kpi_trend,
    unit text,
    recorded_at timestamptz not null default now(),
    created_at timestamptz not null default now(),

    constraint kpi_metrics_user_id_fkey foreign key (user_id) references public.profiles(user_id) on delete cascade,
    constraint kpi_metrics_week_id_fkey
        foreign key (week_id, user_id) references public.weeks(id, user_id) on delete cascade,
    constraint kpi_metrics_metric_name_check check (char_length(metric_name) between 1 and 200),
    constraint kpi_metrics_metric_category_check check (char_length(metric_category) <= 200),
    constraint kpi_metrics_unit_check check (char_length(unit) <= 50)
);

create index idx_kpi_metrics_week_id on public.kpi_metrics (week_id, user_id);
-- for the values of one metric over time
create index idx_kpi_metrics_user_id on public.kpi_metrics (user_id, metric_name, recorded_at desc);

comment on table public.kpi_metrics is 'Measured values of a person''s weeks, with change and direction.';
comment on column public.kpi_metrics.id is 'Identity of the row.';
comment on column public.kpi_metrics.week_id is 'The week.';
comment on column public.kpi_metrics.user_id is 'Whose week.';
comment on column public.kpi_metrics.metric_name is 'What is measured.';
comment on column public.kpi_metrics.metric_category is 'The group of the metric; any text.';
comment on column public.kpi_metrics.current_value is 'The value now.';
comment on column public.kpi_metrics.target_value is 'The value wanted.';
comment on column public.kpi_metrics.previous_value is 'The value before.';
comment on column public.kpi_metrics.delta is 'current_value minus previous_value; derived when both are there.';
comment on column public.kpi_metrics.trend is 'Sign of delta; derived when delta is there.';
comment on column public.kpi_metrics.unit is 'Unit of the values.';
comment on column public.kpi_metrics.recorded_at is 'When it was measured.';
comment on column public.kpi_metrics.created_at is 'When the row was written.';

create function private.derive_kpi()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if new.previous_value is not null then
        new.delta := new.current_value - new.previous_value;
    end if;
    if new.delta is not null then
        new.trend := case sign(new.delta) when 1 then 'up' when -1 then 'down' else 'stable' end;
    end if;
    return new;
end
$$;

comment on function private.derive_kpi() is
    'BEFORE INSERT OR UPDATE on kpi_metrics: with a previous value, delta becomes the difference; with a delta, trend '
    'becomes its sign. Otherwise both stay as they were sent.';

create trigger trg_kpi_metrics_derive before insert or update on public.kpi_metrics
for each row execute function private.derive_kpi();

-- A code review of a public GitHub repository. A learner inserts the request; the job code_review writes the rest.

create table public.reviews (
    id uuid primary key default gen_random_uuid(),
    week_id uuid,
    user_id uuid not null default private.caller_id(),
    github_url text not null,
    depth public.review_depth not null default 'standard',
    status public.review_status not null default 'pending',
    result_json jsonb,
    error_message text,
    started_at timestamptz,
    completed_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint reviews_user_id_fkey foreign key (user_id) references public.profiles(user_id) on delete cascade,
    constraint reviews_week_id_fkey
        foreign key (week_id, user_id) references public.weeks(id, user_id) on delete set null (week_id),
    constraint reviews_github_url_check
        check (
            github_url ~ '^https://github\.com/[A-Za-z0-9-]+/[A-Za-z0-9._-]+(/.*)?$' and char_length(github_url) <= 500
        ),
    constraint reviews_result_json_check check (jsonb_typeof(result_json) = 'object'),
    constraint reviews_error_message_check check (char_length(error_message) <= 500)
);

-- for a learner's list, newest first
create index idx_reviews_user_id on public.reviews (user_id, created_at desc);
create index idx_reviews_week_id on public.reviews (week_id, user_id);
-- for what waits or runs, oldest first
create index idx_reviews_unfinished on public.reviews (created_at) where status in ('pending', 'running');

comment on table public.reviews is 'Code reviews that learners asked for.';
comment on column public.reviews.id is 'Identity of the row.';
comment on column public.reviews.week_id is 'The week it counts for, if any.';
comment on column public.reviews.user_id is 'Who asked.';
comment on column public.reviews.github_url is 'The repository: https://github.com/owner/name, and below.';
comment on column public.reviews.depth is 'How much to read.';
comment on column public.reviews.status is 'Its state.';
comment on column public.reviews.result_json is 'The review, once completed.';
comment on column public.reviews.error_message is 'Of a failed review: a sentence the learner may read.';
comment on column public.reviews.started_at is 'When the job began; kept by trigger.';
comment on column public.reviews.completed_at is 'When it completed or failed; kept by trigger.';
comment on column public.reviews.created_at is 'When the row was written.';
comment on column public.reviews.updated_at is 'When the row last changed; kept by trigger.';

create function private.stamp_review()
returns trigger
language plpgsql
-- security definer, because the clock is in the schema private, on which learners have no usage
security definer
set search_path = ''
as $$
begin
    if new.status = 'pending' then
        new.started_at := null;
        new.completed_at := null;
        new.error_message := null;
    elsif new.status = 'running' then
        new.started_at := private.clock();
        new.completed_at := null;
    else
        new.completed_at := private.clock();
    end if;
    return new;
end
$$;

comment on function private.stamp_review() is
    'BEFORE a change of status on reviews: running sets started_at, an end sets completed_at, and a return to pending '
    'clears both and the error.';

create trigger trg_reviews_stamp before update of status on public.reviews
for each row when (old.status is distinct from new.status) execute function private.stamp_review();
create trigger trg_reviews_status before insert or update of status on public.reviews
for each row execute function private.enforce_transition(
    'status', '>pending', 'pending>running', 'running>completed', 'running>failed', 'failed>pending'
);
create trigger trg_reviews_updated_at before update on public.reviews
for each row execute function public.set_updated_at();

-- What the policies of this room ask about the caller. Arrays, so that they can drive an index.

create function private.my_weeks()
returns uuid[]
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    return (select coalesce(array_agg(id), '{}') from public.weeks where user_id = private.caller_id());
end
$$;

comment on function private.my_weeks() is 'Ids of the caller''s weeks.';

create function private.my_socratic_sessions()
returns uuid[]
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    return (select coalesce(array_agg(id), '{}') from public.socratic_sessions where user_id = private.caller_id());
end
$$;

comment on function private.my_socratic_sessions() is 'Ids of the caller''s socratic sessions, open or ended.';

create function private.my_open_socratic_sessions()
returns uuid[]
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    return (
        select coalesce(array_agg(id), '{}') from public.socratic_sessions
        where user_id = private.caller_id() and ended_at is null
    );
end
$$;

comment on function private.my_open_socratic_sessions() is
    'Ids of the caller''s socratic sessions that may still be spoken in.';
