-- Background work as its owner may see it: what, how far, how it ended. Everything slow or outside runs through here.
-- Written by the svc functions of job_queue.sql alone. What workers need beside it (payload, lease) is in
-- private.job_runtime, so that a front end can read this row whole.

create function private.job_id()
returns uuid
language sql
volatile
set search_path = ''
as $$
    select encode(
        -- bits 52 and 53 make version 7 of version 4
        set_bit(set_bit(overlay(
            uuid_send(gen_random_uuid())
            placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6
        ), 52, 1), 53, 1),
        'hex'
    )::uuid;
$$;

comment on function private.job_id() is
    'A new id that begins with the time (UUID version 7): jobs that are worked on together lie together in table and index.';

create table public.jobs (
    id uuid primary key default private.job_id(),
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
    foreign key (week_id, user_id) references public.weeks (id, user_id) on delete cascade
    -- other rules are private.check_job()'s
) with (
    -- rows change state a few times, in place, and never again
    fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500
);

-- none of these names a column that claims and completions change: so they write no index (HOT updates)
create index idx_jobs_user on public.jobs (user_id, created_at desc);
create index idx_jobs_week on public.jobs (week_id, user_id) where week_id is not null;
create index idx_jobs_dedupe_key on public.jobs (dedupe_key) where dedupe_key is not null;
-- retention, and the newest of those that failed
create index idx_jobs_created on public.jobs (created_at);

comment on table public.jobs is 'Background work, as its owner may follow it.';
comment on column public.jobs.id is 'The job.';
comment on column public.jobs.type is 'What it does.';
comment on column public.jobs.user_id is 'Whose it is; null for work of the system.';
comment on column public.jobs.week_id is 'The week it belongs to; it goes with the week.';
comment on column public.jobs.status is 'Where it stands.';
comment on column public.jobs.priority is 'Higher goes first; waiting raises it, see private.job_runtime.rank.';
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

create function private.check_job()
returns trigger
language plpgsql
set search_path = ''
as $$
declare
    v_broken constant text := case
        when new.retry_count not between 0 and new.max_retries then 'jobs_retry_count_check'
        when new.max_retries not between 0 and 100 then 'jobs_max_retries_check'
        when new.week_id is not null and new.user_id is null then 'jobs_week_id_check'
        when new.timeout_s not between 1 and 86400 then 'jobs_timeout_s_check'
        when char_length(new.dedupe_key) not between 1 and 500 then 'jobs_dedupe_key_check'
        when char_length(new.error_message) > 500 then 'jobs_error_message_check'
        when jsonb_typeof(new.progress) <> 'object' then 'jobs_progress_check'
    end;
begin
    if v_broken is not null then
        raise exception 'new row for relation "jobs" violates "%"', v_broken
            using errcode = '23514', schema = 'public', table = 'jobs', constraint = v_broken;
    end if;
    return new;
end
$$;

comment on function private.check_job() is
    'What check constraints would say of columns that claims and completions do not write: 0 to max_retries retries, at most '
    '100, a week only with its owner, 1 s to a day for a try, keys of 1 to 500 characters, messages of at most 500, progress '
    'an object. A check constraint is read anew by each statement that updates the table, whatever it changes; these cost a '
    'tenth of a claim.';

create trigger trg_jobs_check
before insert or update of retry_count, max_retries, week_id, user_id, timeout_s, dedupe_key, error_message, progress
on public.jobs
for each row execute function private.check_job();

-- the other columns change in svc_exchange_jobs, which sets it itself and pays for no trigger
create trigger trg_jobs_updated_at before update of
type, user_id, week_id, priority, max_retries, retry_count, error_code, error_message, progress, cancel_requested, timeout_s,
provider, dedupe_key, scheduled_at
on public.jobs
for each row execute function public.set_updated_at();

create trigger trg_jobs_status_born before insert on public.jobs
for each row when (new.status <> 'queued') execute function private.enforce_transition('status', '>queued');

create function private.change_job()
returns trigger
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if old.status <> new.status and old.status || '>' || new.status <> all (array[
        'queued>running', 'queued>cancelled', 'running>queued', 'running>succeeded', 'running>failed', 'running>cancelled',
        'failed>queued'
    ]) then
        raise exception 'jobs cannot go from status % to %', old.status, new.status using errcode = '23514';
    end if;
    -- a try begins without what the last one left
    if old.status = 'queued' and new.status = 'running' then
        new.error_code := null;
        new.error_message := null;
    elsif old.status <> 'queued' and new.status = 'queued' then
        new.progress := '{}';
    end if;
    -- a live job has its key (23505 when another has it), an ended one gives it up
    if new.status not in ('queued', 'running') or new.dedupe_key is distinct from old.dedupe_key then
        delete from private.job_keys where job_id = old.id;
    end if;
    if new.status in ('queued', 'running') and new.dedupe_key is not null
        and not exists (select from private.job_keys where dedupe_key = new.dedupe_key and job_id = old.id) then
        insert into private.job_keys (dedupe_key, job_id) values (new.dedupe_key, old.id);
    end if;
    new.updated_at := now();
    return new;
end
$$;

comment on function private.change_job() is
    'BEFORE UPDATE of a job''s status or key: refuses other transitions (23514), forgets what the last try '
    'left, keeps private.job_keys.';

-- The two ways that every job goes are let pass without a call, unless it failed before or has a key. One trigger and not
-- one for each rule: its condition is read anew by each statement, which costs more than the rest of a small update.
create trigger trg_jobs_transition before update of status, dedupe_key on public.jobs
for each row when (
    (old.status <> 'queued' or new.status <> 'running' or old.error_code is not null)
    and (old.status <> 'running' or new.status <> 'succeeded' or old.dedupe_key is not null)
) execute function private.change_job();

-- rooms before this one that point at a job
alter table public.generated_content add constraint generated_content_job_id_fkey
foreign key (job_id) references public.jobs (id) on delete set null;
