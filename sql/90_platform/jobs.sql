-- Background work as its owner may follow it: what it is, how far it is, how it ended. Everything slow or outside runs
-- through here. Only the queue's functions write it. What workers need besides (input, place in the line, lease) is in
-- private.job_runtime, so that a front end can read this row whole.

create table public.jobs (
    id uuid primary key default gen_random_uuid(),
    type public.job_type not null,
    user_id uuid,
    week_id uuid,
    status public.job_status not null default 'queued',
    priority int not null default 0,
    max_retries int not null default 3,
    retry_count int not null default 0,
    error_code text,
    error_message text,
    progress jsonb not null default '{}',
    result jsonb,
    cancel_requested boolean not null default false,
    timeout_s int not null default 600,
    provider text,
    dedupe_key text,
    scheduled_at timestamptz not null default now(),
    started_at timestamptz,
    completed_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint jobs_user_id_fkey foreign key (user_id) references public.profiles(user_id) on delete cascade,
    constraint jobs_week_id_fkey
        foreign key (week_id, user_id) references public.weeks(id, user_id) on delete cascade,
    constraint jobs_week_id_check check (week_id is null or user_id is not null),
    constraint jobs_priority_check check (priority between -1000 and 1000),
    constraint jobs_max_retries_check check (max_retries between 0 and 100),
    constraint jobs_retry_count_check check (retry_count between 0 and max_retries),
    constraint jobs_timeout_s_check check (timeout_s between 1 and 86400),
    constraint jobs_dedupe_key_check check (char_length(dedupe_key) between 1 and 500),
    constraint jobs_error_message_check check (char_length(error_message) <= 500),
    constraint jobs_progress_check check (jsonb_typeof(progress) = 'object')
) with (
    -- every job changes a few times: dead rows must go before claims have to step over many of them
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500
);

create index idx_jobs_user on public.jobs (user_id, created_at desc);
create index idx_jobs_week on public.jobs (week_id, user_id) where week_id is not null;
-- retention, and the newest of those that failed
create index idx_jobs_created on public.jobs (created_at);
-- at most one live job has a key
create unique index uq_jobs_dedupe_key on public.jobs (dedupe_key) where status in ('queued', 'running');

comment on table public.jobs is 'Background work, as its owner may follow it.';
comment on column public.jobs.id is 'The job.';
comment on column public.jobs.type is 'What it does.';
comment on column public.jobs.user_id is 'Whose it is; null for work of the system.';
comment on column public.jobs.week_id is 'The week it belongs to; it goes with the week.';
comment on column public.jobs.status is 'Where it stands.';
comment on column public.jobs.priority is 'Higher goes first; waiting raises it, see private.job_runtime.rank.';
comment on column public.jobs.max_retries is 'Attempts after the first one.';
comment on column public.jobs.retry_count is 'Attempts that ended without success: failed, or the lease ran out.';
comment on column public.jobs.error_code is 'Why the last attempt failed; a code of docs/errors.md.';
comment on column public.jobs.error_message is 'The same as a sentence the owner may read.';
comment on column public.jobs.progress is 'How far it is; keys by type.';
comment on column public.jobs.result is 'What it came to, when succeeded; keys by type.';
comment on column public.jobs.cancel_requested is
    'The owner asked for an end; the worker learns it at its next heartbeat.';
comment on column public.jobs.timeout_s is 'Seconds a single attempt may take.';
comment on column public.jobs.provider is 'Outside system whose rate limit it shares.';
comment on column public.jobs.dedupe_key is 'At most one live job has it.';
comment on column public.jobs.scheduled_at is 'Not before this moment; the next attempt, after a failure.';
comment on column public.jobs.started_at is 'When the latest attempt began.';
comment on column public.jobs.completed_at is 'When it ended, however it did.';
comment on column public.jobs.created_at is 'When it was asked for.';
comment on column public.jobs.updated_at is 'Last change.';

create trigger trg_jobs_updated_at before update on public.jobs
for each row execute function public.set_updated_at();

create trigger trg_jobs_status before insert or update of status on public.jobs
for each row execute function private.enforce_transition(
    'status', '>queued', 'queued>running', 'queued>cancelled', 'running>queued', 'running>succeeded', 'running>failed',
    'running>cancelled', 'failed>queued'
);

-- rooms before this one that point at a job
alter table public.generated_content add constraint generated_content_job_id_fkey
    foreign key (job_id) references public.jobs(id) on delete set null;

alter table public.clo_notes add constraint clo_notes_job_id_fkey
    foreign key (job_id) references public.jobs(id) on delete set null;

alter table public.engineer_notes add constraint engineer_notes_job_id_fkey
    foreign key (job_id) references public.jobs(id) on delete set null;

alter table public.brand_packages add constraint brand_packages_job_id_fkey
    foreign key (job_id) references public.jobs(id) on delete set null;

alter table private.brand_wishes add constraint brand_wishes_job_id_fkey
    foreign key (job_id) references public.jobs(id) on delete cascade;

alter table public.qa_interactions add constraint qa_interactions_job_id_fkey
    foreign key (job_id) references public.jobs(id) on delete set null;

alter table private.practice_generations add constraint practice_generations_job_id_fkey
    foreign key (job_id) references public.jobs(id) on delete cascade;
