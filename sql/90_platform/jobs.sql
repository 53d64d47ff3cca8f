-- Background work as its owner may see it: what, how far, how it ended. Everything slow or outside runs through here.
-- Written by the svc functions of job_queue.sql alone. What workers need beside it (payload, lease) is in
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

    constraint jobs_user_id_fkey foreign key (user_id) references public.profiles (user_id) on delete cascade,
    constraint jobs_week_id_fkey
    foreign key (week_id, user_id) references public.weeks (id, user_id) on delete cascade,
    constraint jobs_retry_count_check check (retry_count between 0 and max_retries),
    constraint jobs_max_retries_check check (max_retries between 0 and 100),
    constraint jobs_week_id_check check (week_id is null or user_id is not null),
    constraint jobs_timeout_s_check check (timeout_s between 1 and 86400),
    constraint jobs_error_message_check check (char_length(error_message) <= 500),
    constraint jobs_progress_check check (jsonb_typeof(progress) = 'object'),
    constraint jobs_dedupe_key_check check (char_length(dedupe_key) between 1 and 500)
) with (
    -- rows change state a few times and never again; the queue lives in the few that wait, so dead ones go early
    fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500
);

create unique index jobs_dedupe_key_key on public.jobs (dedupe_key) where status in ('queued', 'running');
-- the claim reads this in order and stops
create index idx_jobs_queued on public.jobs (priority desc, scheduled_at, created_at) where status = 'queued';
-- the few that run: reaping, caps
create index idx_jobs_running on public.jobs (user_id) where status = 'running';
create index idx_jobs_user on public.jobs (user_id, created_at desc);
create index idx_jobs_week on public.jobs (week_id, user_id) where week_id is not null;
-- retention
create index idx_jobs_completed on public.jobs (completed_at) where completed_at is not null;

comment on table public.jobs is 'Background work, as its owner may follow it.';
comment on column public.jobs.id is 'The job.';
comment on column public.jobs.type is 'What it does.';
comment on column public.jobs.user_id is 'Whose it is; null for work of the system.';
comment on column public.jobs.week_id is 'The week it belongs to; it goes with the week.';
comment on column public.jobs.status is 'Where it stands.';
comment on column public.jobs.priority is 'Higher goes first; waiting raises it, see private.job_queue.';
comment on column public.jobs.max_retries is 'Tries after the first one.';
comment on column public.jobs.retry_count is 'Claims that ended without success: failed, or the lease ran out.';
comment on column public.jobs.error_code is 'Why the last try failed; a code of docs/errors.md.';
comment on column public.jobs.error_message is 'The same as a sentence the owner may read.';
comment on column public.jobs.progress is 'How far it is; keys by type.';
comment on column public.jobs.result is 'What it came to, when succeeded; keys by type.';
comment on column public.jobs.cancel_requested is 'The owner asked for an end; the worker learns it at its next heartbeat.';
comment on column public.jobs.timeout_s is 'Seconds a single try may take.';
comment on column public.jobs.provider is 'Outside system whose rate limit it shares.';
comment on column public.jobs.dedupe_key is 'At most one live job has it.';
comment on column public.jobs.scheduled_at is 'Not before this moment; the next try, after a failure.';
comment on column public.jobs.started_at is 'When the latest try began.';
comment on column public.jobs.completed_at is 'When it ended, however it did.';
comment on column public.jobs.created_at is 'When it was asked for.';
comment on column public.jobs.updated_at is 'Last change.';

-- the queue's own statements set it themselves, and pay for no trigger
create trigger trg_jobs_updated_at before update on public.jobs
for each row when (new.updated_at is not distinct from old.updated_at) execute function public.set_updated_at();

create trigger trg_jobs_status_born before insert on public.jobs
for each row when (new.status <> 'queued') execute function private.enforce_transition('status', '>queued');

-- the two ways that every job goes are let pass without a call
create trigger trg_jobs_transition before update of status on public.jobs
for each row when (
    old.status <> new.status
    and not (old.status = 'queued' and new.status = 'running')
    and not (old.status = 'running' and new.status = 'succeeded')
) execute function private.enforce_transition(
    'status', 'queued>cancelled', 'running>queued', 'running>failed', 'running>cancelled', 'failed>queued'
);

-- rooms before this one that point at a job
alter table public.generated_content add constraint generated_content_job_id_fkey
foreign key (job_id) references public.jobs (id) on delete set null;
