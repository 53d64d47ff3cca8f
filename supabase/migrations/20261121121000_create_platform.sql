-- Tables, functions and views of the room 90_platform.
-- Touches: 90_platform. Undo: drop what it creates, newest first; nothing in it destroys data.

-- Who did what to whose record. Written by private.write_audit and the triggers that use it; added to and read, never
-- changed, and deleted after seven years by svc_purge_expired alone. No foreign keys: it outlives the people. It holds
-- ids and states, never a student's text nor a secret.

create table private.audit_log (
    id bigint primary key generated always as identity,
    occurred_at timestamptz not null default now(),
    actor_id uuid,
    actor_role text,
    action text not null,
    entity text not null,
    entity_id text,
    subject_user_id uuid,
    detail jsonb not null default '{}',

    constraint audit_log_actor_role_check check (char_length(actor_role) <= 100),
    constraint audit_log_action_check check (char_length(action) between 1 and 100),
    constraint audit_log_entity_check check (char_length(entity) between 1 and 100),
    constraint audit_log_entity_id_check check (char_length(entity_id) <= 200),
    constraint audit_log_detail_check check (jsonb_typeof(detail) = 'object')
);

-- everything about a person, in order
create index idx_audit_log_subject on private.audit_log (subject_user_id, occurred_at);
create index idx_audit_log_entity on private.audit_log (entity, entity_id);
-- the newest lines, and retention
create index idx_audit_log_occurred_at on private.audit_log (occurred_at);

comment on table private.audit_log is 'The audit log.';
comment on column private.audit_log.id is 'Identity of the row.';
comment on column private.audit_log.occurred_at is 'When it happened.';
comment on column private.audit_log.actor_id is 'Who did it; null for the service.';
comment on column private.audit_log.actor_role is 'The database role of the request, or of the session without one.';
comment on column private.audit_log.action is 'What was done: insert, update, delete, read, or the name of an act.';
comment on column private.audit_log.entity is 'The table it was done to.';
comment on column private.audit_log.entity_id is 'The row it was done to.';
comment on column private.audit_log.subject_user_id is 'The person the row is about.';
comment on column private.audit_log.detail is 'The recorded columns before and after.';

create function private.keep_audit_log()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if tg_op = 'DELETE' and current_setting('app.purging_audit_log', true) = 'yes' then
        return old;
    end if;
    raise exception 'the audit log is not changed' using errcode = '42501';
end
$$;

comment on function private.keep_audit_log() is
    'BEFORE UPDATE, DELETE or TRUNCATE on audit_log: refused, except the purge of svc_purge_expired, which says '
    'so in a setting of its transaction.';

create trigger trg_audit_log_keep before update or delete on private.audit_log
    for each row execute function private.keep_audit_log();
create trigger trg_audit_log_keep_all before truncate on private.audit_log
    for each statement execute function private.keep_audit_log();

create function private.admin_list_audit(p_subject_user_id uuid, p_limit int)
returns table (
    id bigint,
    occurred_at timestamptz,
    actor_id uuid,
    actor_role text,
    action text,
    entity text,
    entity_id text,
    subject_user_id uuid,
    detail jsonb
)
language plpgsql
stable
security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
    if auth.jwt() ->> 'role' is distinct from 'app_admin' then
        raise exception 'for staff only' using errcode = '42501';
    end if;
    if p_limit is null then
        raise exception 'how many lines?' using errcode = '22004';
    end if;
    if p_limit not between 1 and 1000 then
        raise exception 'from 1 to 1000 lines' using errcode = '22003';
    end if;
    return query
    select
        l.id, l.occurred_at, l.actor_id, l.actor_role, l.action, l.entity, l.entity_id, l.subject_user_id, l.detail
    from private.audit_log as l
    where p_subject_user_id is null or l.subject_user_id = p_subject_user_id
    order by l.occurred_at desc, l.id desc
    limit p_limit;
end
$$;

comment on function private.admin_list_audit(uuid, int) is 'What public.admin_list_audit does.';

create function public.admin_list_audit(p_subject_user_id uuid default null, p_limit int default 100)
returns table (
    id bigint,
    occurred_at timestamptz,
    actor_id uuid,
    actor_role text,
    action text,
    entity text,
    entity_id text,
    subject_user_id uuid,
    detail jsonb
)
language sql
stable
set search_path = ''
begin atomic
    select * from private.admin_list_audit(p_subject_user_id, p_limit);
end;

comment on function public.admin_list_audit(uuid, int) is
    'The newest lines of the audit log, about one person or all; 1 to 1000 of them. Staff only, 42501 otherwise.';

-- Outbox of files to delete: SQL can delete a row, not the file it names. Filled by private.enqueue_storage_deletion in
-- the transaction that deletes the row; emptied by the job storage_cleanup, which calls the two functions below.

create table private.storage_deletions (
    id bigint primary key generated always as identity,
    storage_key text not null,
    reason text not null,
    attempts int not null default 0,
    last_error text,
    enqueued_at timestamptz not null default now(),
    next_attempt_at timestamptz not null default now(),
    done_at timestamptz,

    constraint storage_deletions_storage_key_check check (char_length(storage_key) between 1 and 500),
    constraint storage_deletions_reason_check check (char_length(reason) <= 200),
    constraint storage_deletions_attempts_check check (attempts >= 0),
    constraint storage_deletions_last_error_check check (char_length(last_error) <= 500)
);

-- a file waits once, however often it is given up
create unique index storage_deletions_storage_key_key on private.storage_deletions (storage_key) where done_at is null;
create index idx_storage_deletions_enqueued_at on private.storage_deletions (enqueued_at) where done_at is null;
-- retention
create index idx_storage_deletions_done_at on private.storage_deletions (done_at) where done_at is not null;

comment on table private.storage_deletions is 'Files that lost their row and wait to be deleted.';
comment on column private.storage_deletions.id is 'Identity of the row.';
comment on column private.storage_deletions.storage_key is 'bucket/object of the file.';
comment on column private.storage_deletions.reason is 'The table and statement that gave it up.';
comment on column private.storage_deletions.attempts is 'How often it was handed out for deletion.';
comment on column private.storage_deletions.last_error is 'What went wrong last.';
comment on column private.storage_deletions.enqueued_at is 'When the file lost its row.';
comment on column private.storage_deletions.next_attempt_at is 'Not handed out before; moved on at every attempt.';
comment on column private.storage_deletions.done_at is 'When the file was gone.';

create function public.svc_claim_storage_deletions(p_limit int)
returns table (id bigint, storage_key text, reason text, attempts int)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
    if p_limit is null then
        raise exception 'how many?' using errcode = '22004';
    end if;
    if p_limit < 1 then
        raise exception 'at least one' using errcode = '22003';
    end if;
    return query
    with due as (
        select d.id from private.storage_deletions as d
        where d.done_at is null and d.next_attempt_at <= private.clock()
        order by d.enqueued_at
        limit least(p_limit, 500)
        for update skip locked
    )
    update private.storage_deletions as d set
        attempts = d.attempts + 1,
        -- lease and back-off in one: nobody else gets it before, and a dead worker gives it back by itself
        next_attempt_at = private.clock() + make_interval(secs => least(3600, 30 * 2 ^ least(d.attempts, 10)))
    from due
    where d.id = due.id
    returning d.id, d.storage_key, d.reason, d.attempts;
end
$$;

comment on function public.svc_claim_storage_deletions(int) is
    'Files to delete now, oldest first, at most 500. Each is handed out again after 30 s, doubling up to an '
    'hour, until it is finished.';

create function public.svc_finish_storage_deletion(p_id bigint, p_error text default null)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if p_id is null then
        raise exception 'which file?' using errcode = '22004';
    end if;
    update private.storage_deletions set
        done_at = case when p_error is null then private.clock() end,
        last_error = left(p_error, 500)
    where id = p_id and done_at is null;
end
$$;

comment on function public.svc_finish_storage_deletion(bigint, text) is
    'Without an error the file is gone (or was already); with one it is tried again later. A second call changes '
    'nothing.';

-- Answers kept for a day, so that a client who did not hear one may ask again with the same key. Reached by the two
-- functions below, which the services call around a request.

create table private.idempotency_keys (
    user_id uuid not null,
    route text not null,
    key text not null,
    request_hash text not null,
    status int,
    response jsonb,
    started_at timestamptz not null default now(),
    expires_at timestamptz not null,

    constraint idempotency_keys_pkey primary key (user_id, route, key),
    constraint idempotency_keys_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade,
    constraint idempotency_keys_route_check check (char_length(route) between 1 and 500),
    constraint idempotency_keys_key_check check (char_length(key) between 1 and 255),
    constraint idempotency_keys_request_hash_check check (char_length(request_hash) between 1 and 128),
    constraint idempotency_keys_status_check check (status between 100 and 599)
);

-- retention
create index idx_idempotency_keys_expires_at on private.idempotency_keys (expires_at);

comment on table private.idempotency_keys is 'Requests with an Idempotency-Key, and what they were answered.';
comment on column private.idempotency_keys.user_id is 'Who asked.';
comment on column private.idempotency_keys.route is 'What was asked: method and path.';
comment on column private.idempotency_keys.key is 'The client''s key.';
comment on column private.idempotency_keys.request_hash is
    'Hash of the body; the same key with another body is a mistake.';
comment on column private.idempotency_keys.status is 'HTTP status of the answer; null while the first request runs.';
comment on column private.idempotency_keys.response is 'Body of the answer.';
comment on column private.idempotency_keys.started_at is 'When the request began.';
comment on column private.idempotency_keys.expires_at is 'When the key may be used anew.';

create function public.svc_begin_idempotent(p_user_id uuid, p_route text, p_key text, p_request_hash text)
returns table (outcome text, status int, response jsonb)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_row private.idempotency_keys;
    v_now constant timestamptz := private.clock();
begin
    if num_nulls(p_user_id, p_route, p_key, p_request_hash) > 0 then
        raise exception 'person, route, key and hash are needed' using errcode = '22004';
    end if;
    insert into private.idempotency_keys (user_id, route, key, request_hash, started_at, expires_at)
    values (p_user_id, p_route, p_key, p_request_hash, v_now, v_now + interval '24 hours')
    on conflict (user_id, route, key) do nothing;
    if found then
        return query select 'new', null::int, null::jsonb;
        return;
    end if;

    select * into v_row from private.idempotency_keys as k
    where k.user_id = p_user_id and k.route = p_route and k.key = p_key for update;
    -- forgotten since, expired, or given up by a request that never came back
    if not found or v_row.expires_at <= v_now
        or v_row.status is null and v_row.started_at <= v_now - interval '2 minutes' then
        insert into private.idempotency_keys (user_id, route, key, request_hash, started_at, expires_at)
        values (p_user_id, p_route, p_key, p_request_hash, v_now, v_now + interval '24 hours')
        on conflict (user_id, route, key) do update set
            request_hash = excluded.request_hash,
            status = null,
            response = null,
            started_at = excluded.started_at,
            expires_at = excluded.expires_at;
        return query select 'new', null::int, null::jsonb;
    elsif v_row.request_hash <> p_request_hash then
        return query select 'mismatch', null::int, null::jsonb;
    elsif v_row.status is null then
        return query select 'in_flight', null::int, null::jsonb;
    else
        return query select 'replay', v_row.status, v_row.response;
    end if;
end
$$;

comment on function public.svc_begin_idempotent(uuid, text, text, text) is
    'Opens a request with an Idempotency-Key. outcome: new (do it); replay (answer with status and response); '
    'in_flight (the first still runs); mismatch (same key, other body). A key lives 24 hours; one in flight for '
    '2 minutes counts as abandoned.';

create function public.svc_finish_idempotent(
    p_user_id uuid,
    p_route text,
    p_key text,
    p_status int default null,
    p_response jsonb default null
)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if num_nulls(p_user_id, p_route, p_key) > 0 then
        raise exception 'person, route and key are needed' using errcode = '22004';
    end if;
    if p_status is null then
        delete from private.idempotency_keys
        where user_id = p_user_id and route = p_route and key = p_key and status is null;
    else
        update private.idempotency_keys set status = p_status, response = p_response
        where user_id = p_user_id and route = p_route and key = p_key and status is null;
    end if;
end
$$;

comment on function public.svc_finish_idempotent(uuid, text, text, int, jsonb) is
    'Remembers the answer of an open request; without a status forgets the request, so that it may be tried '
    'again. A remembered answer stands.';

-- Requests counted per bucket (a person or an address, and a route) and window of time. Reached by svc_take_rate only;
-- svc_purge_expired sweeps past windows.

create table private.rate_buckets (
    bucket text not null,
    window_start timestamptz not null,
    window_end timestamptz not null,
    count int not null,

    constraint rate_buckets_pkey primary key (bucket, window_start),
    constraint rate_buckets_bucket_check check (char_length(bucket) between 1 and 300)
);

-- retention
create index idx_rate_buckets_window_end on private.rate_buckets (window_end);

comment on table private.rate_buckets is 'Counters of rate limits.';
comment on column private.rate_buckets.bucket is 'What is counted.';
comment on column private.rate_buckets.window_start is 'Start of the window.';
comment on column private.rate_buckets.window_end is 'End of the window.';
comment on column private.rate_buckets.count is 'Requests let through.';

create function public.svc_take_rate(p_bucket text, p_limit int, p_window_s int)
returns table (allowed boolean, retry_after_s int)
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_now constant timestamptz := private.clock();
    v_start timestamptz;
    v_end timestamptz;
begin
    if num_nulls(p_bucket, p_limit, p_window_s) > 0 then
        raise exception 'bucket, limit and window are needed' using errcode = '22004';
    end if;
    if p_limit < 0 or p_window_s not between 1 and 86400 then
        raise exception 'a limit of at least 0 in 1 to 86400 seconds' using errcode = '22003';
    end if;
    v_start := to_timestamp(floor(extract(epoch from v_now) / p_window_s) * p_window_s);
    v_end := v_start + make_interval(secs => p_window_s);
    if p_limit > 0 then
        -- counting and looking are one statement: parallel requests cannot both take the last place
        insert into private.rate_buckets as b (bucket, window_start, window_end, count)
        values (p_bucket, v_start, v_end, 1)
        on conflict (bucket, window_start) do update set count = b.count + 1 where b.count < p_limit;
        if found then
            return query select true, 0;
            return;
        end if;
    end if;
    return query select false, greatest(1, ceil(extract(epoch from v_end - v_now)))::int;
end
$$;

comment on function public.svc_take_rate(text, int, int) is
    'Takes one of p_limit places of a bucket in the current window of p_window_s seconds; when there is none, '
    'says in how many seconds to come back.';

create type public.job_type as enum (
    'canvas_sync', 'canvas_courses_cache', 'headstart', 'chat_answer', 'content_generation', 'lecture_download',
    'lecture_transcription', 'lecture_ingest', 'document_ingest', 'code_review', 'week_notes', 'brand_package',
    'session_summary', 'nudge_dispatch', 'notification_dispatch', 'stats_refresh', 'catalog_sync', 'storage_cleanup',
    'account_deletion'
);
comment on type public.job_type is 'What a job does; each type has one handler, registered by the service that owns it.';

create type public.job_status as enum ('queued', 'running', 'succeeded', 'failed', 'cancelled');
comment on type public.job_status is
    'queued: waits (also for its next try). running: a worker holds the lease. succeeded, failed, cancelled: over; '
    'failed goes back to queued by retry_job.';

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

-- What workers need of a job and nobody else may see: its input, and who holds it until when.
-- locked_until has no index on purpose: the running set is small, and a heartbeat stays a HOT update.

create table private.job_runtime (
    job_id uuid primary key,
    payload jsonb not null default '{}',
    lease_token uuid,
    claim_id uuid,
    locked_by text,
    locked_until timestamptz,
    error_detail text,

    constraint job_runtime_job_id_fkey foreign key (job_id) references public.jobs (id) on delete cascade,
    constraint job_runtime_payload_check check (jsonb_typeof(payload) = 'object'),
    constraint job_runtime_lease_check check ((lease_token is null) = (locked_until is null))
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);

-- the same claim asked again
create index idx_job_runtime_claim on private.job_runtime (claim_id) where claim_id is not null;

comment on table private.job_runtime is 'The workers'' side of a job.';
comment on column private.job_runtime.job_id is 'The job.';
comment on column private.job_runtime.payload is 'Its input: ids, never text of students nor tokens.';
comment on column private.job_runtime.lease_token is 'Fences every write after the claim; new for each claim.';
comment on column private.job_runtime.claim_id is 'The claim that took it, so that a lost answer can be asked for again.';
comment on column private.job_runtime.locked_by is 'The worker that holds it.';
comment on column private.job_runtime.locked_until is 'Until when, unless a heartbeat moves it.';
comment on column private.job_runtime.error_detail is 'For operators: what went wrong last.';

-- The queue proper: one row for each job that waits, none for those that run or are over. So a claim costs the same with a
-- million finished jobs as with none.
--
--   later      not due yet (scheduled, or waiting for its next try)
--   waiting    due, but its owner has no free place
--   admitted   due and has a place: these are what claims look at
--
-- A person has as many places as private.job_cap() says, and his running jobs take them too. So the cap is strict, and a
-- person who floods the queue puts no more than his places in front of everybody else.

create table private.job_waiting (
    job_id uuid primary key,
    type public.job_type not null,
    user_id uuid,
    provider text,
    rank timestamptz not null,
    due_at timestamptz not null,
    state text not null,

    constraint job_waiting_job_id_fkey foreign key (job_id) references public.jobs (id) on delete cascade,
    constraint job_waiting_state_check check (state in ('later', 'waiting', 'admitted'))
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500);

create index idx_job_waiting_admitted on private.job_waiting (rank, job_id) where state = 'admitted';
create index idx_job_waiting_user on private.job_waiting (user_id, rank, job_id) where state = 'waiting';
create index idx_job_waiting_user_admitted on private.job_waiting (user_id, rank desc) where state = 'admitted';
create index idx_job_waiting_later on private.job_waiting (due_at) where state = 'later';

comment on table private.job_waiting is 'Jobs that wait for a worker.';
comment on column private.job_waiting.job_id is 'The job.';
comment on column private.job_waiting.type is 'Its type: workers claim by it.';
comment on column private.job_waiting.user_id is 'Its owner: places are counted by person.';
comment on column private.job_waiting.provider is 'The outside system whose limit it shares.';
comment on column private.job_waiting.rank is
    'Claims go by it, earliest first: when it was due, less five minutes for each step of priority. As all jobs age alike, '
    'this fixed moment is priority with ageing: a step of priority is worth five minutes of waiting.';
comment on column private.job_waiting.due_at is 'Not before this moment.';
comment on column private.job_waiting.state is 'later, waiting or admitted.';

create table private.job_caps (
    user_id uuid primary key,
    places int not null,

    constraint job_caps_user_id_fkey foreign key (user_id) references public.profiles (user_id) on delete cascade,
    constraint job_caps_places_check check (places between 1 and 1000)
);

comment on table private.job_caps is 'How many jobs of a person may run at once, where it is not the usual number.';
comment on column private.job_caps.user_id is 'The person.';
comment on column private.job_caps.places is 'His places.';

-- Claims begin to look here, not at the start: while an old snapshot is open, the index entries of jobs long taken cannot
-- go, and passing them again for each claim would cost more each second. Looked for from the start once a second; lowered
-- when a job is admitted before it.
create table private.job_front (
    one boolean primary key default true,
    rank timestamptz not null default '-infinity',
    looked_at timestamptz not null default '-infinity',

    constraint job_front_one_check check (one)
) with (fillfactor = 10);

comment on table private.job_front is 'Where claims begin to look; one row.';
comment on column private.job_front.one is 'There is one row.';
comment on column private.job_front.rank is 'No admitted job ranks before it, but for what was admitted in the last second.';
comment on column private.job_front.looked_at is 'When it was last looked for from the start.';

insert into private.job_front default values;

-- Rate limits of outside systems, shared by all workers: a token bucket each. A claim takes a token for each job of the
-- provider it hands out. A provider without a row has no limit.

create table private.provider_buckets (
    provider text primary key,
    tokens numeric not null,
    capacity numeric not null,
    refill_per_s numeric not null,
    refilled_at timestamptz not null default now(),
    paused_until timestamptz,

    constraint provider_buckets_capacity_check check (capacity >= 1),
    constraint provider_buckets_tokens_check check (tokens <= capacity),
    constraint provider_buckets_refill_per_s_check check (refill_per_s > 0)
);

comment on table private.provider_buckets is 'Token buckets of outside systems.';
comment on column private.provider_buckets.provider is 'The name jobs carry in jobs.provider.';
comment on column private.provider_buckets.tokens is 'Tokens at refilled_at; below zero when some were handed out ahead.';
comment on column private.provider_buckets.capacity is 'The most it holds.';
comment on column private.provider_buckets.refill_per_s is 'Tokens that come back in a second.';
comment on column private.provider_buckets.refilled_at is 'When tokens was true.';
comment on column private.provider_buckets.paused_until is 'No job of it is handed out before.';

create function private.bucket_tokens(p_bucket private.provider_buckets)
returns numeric
language sql
stable
set search_path = ''
as $$
    select least(
        p_bucket.capacity,
        p_bucket.tokens + extract(epoch from private.clock() - p_bucket.refilled_at)::numeric * p_bucket.refill_per_s
    );
$$;

comment on function private.bucket_tokens(private.provider_buckets) is 'What a bucket holds now.';

-- Jobs by the clock. Any worker may tick; the row's lock makes each due moment happen once. Cron fields are read in the
-- schedule's time zone, so "8 o'clock" stays 8 o'clock when summer time begins.

create table private.job_schedules (
    name text primary key,
    cron text not null,
    tz text not null default 'UTC',
    next_run_at timestamptz not null,
    type public.job_type not null,
    payload jsonb not null default '{}',
    catch_up text not null default 'one',

    constraint job_schedules_payload_check check (jsonb_typeof(payload) = 'object'),
    constraint job_schedules_catch_up_check check (catch_up in ('skip', 'one', 'all'))
);

comment on table private.job_schedules is 'Jobs that come back by the clock.';
comment on column private.job_schedules.name is 'Its name.';
comment on column private.job_schedules.cron is 'Minute, hour, day of month, month, day of week (0 and 7 are Sunday); * , - and / work.';
comment on column private.job_schedules.tz is 'The time zone the fields are read in.';
comment on column private.job_schedules.next_run_at is 'The next due moment.';
comment on column private.job_schedules.type is 'The job.';
comment on column private.job_schedules.payload is 'Its input.';
comment on column private.job_schedules.catch_up is
    'After a time without workers: skip what was missed, run one for all of it, or all of them.';

create function private.cron_field(p_field text, p_min int, p_max int)
returns int[]
language plpgsql
immutable
strict
set search_path = ''
as $$
declare
    v_part text;
    v_range text;
    v_step int;
    v_from int;
    v_to int;
    v_values int[] := '{}';
begin
    foreach v_part in array string_to_array(p_field, ',') loop
        if v_part !~ '^(\*|\d{1,4}(-\d{1,4})?)(/\d{1,4})?$' then
            raise exception 'not a cron field: %', p_field using errcode = '22023';
        end if;
        v_range := split_part(v_part, '/', 1);
        v_step := coalesce(nullif(split_part(v_part, '/', 2), ''), '1')::int;
        if v_range = '*' then
            v_from := p_min;
            v_to := p_max;
        else
            v_from := split_part(v_range, '-', 1)::int;
            v_to := case
                when v_range like '%-%' then split_part(v_range, '-', 2)::int
                when v_part like '%/%' then p_max
                else v_from
            end;
        end if;
        if v_step < 1 or v_from < p_min or v_to > p_max or v_from > v_to then
            raise exception 'not a cron field: %', p_field using errcode = '22023';
        end if;
        v_values := v_values || array(select generate_series(v_from, v_to, v_step));
    end loop;
    return v_values;
end
$$;

comment on function private.cron_field(text, int, int) is 'The values one cron field names; 22023 when it names none.';

create function private.cron_next(p_cron text, p_tz text, p_after timestamptz)
returns timestamptz
language plpgsql
stable
strict
set search_path = ''
as $$
declare
    v_fields constant text[] := regexp_split_to_array(btrim(p_cron), '\s+');
    v_minutes int[];
    v_hours int[];
    v_days int[];
    v_months int[];
    v_weekdays int[];
    v_day date := (p_after at time zone p_tz)::date;
    v_on_day boolean;
    v_on_weekday boolean;
    v_found timestamptz;
begin
    if cardinality(v_fields) <> 5 then
        raise exception 'a cron line has five fields: %', p_cron using errcode = '22023';
    end if;
    v_minutes := private.cron_field(v_fields[1], 0, 59);
    v_hours := private.cron_field(v_fields[2], 0, 23);
    v_days := private.cron_field(v_fields[3], 1, 31);
    v_months := private.cron_field(v_fields[4], 1, 12);
    v_weekdays := array(select w % 7 from unnest(private.cron_field(v_fields[5], 0, 7)) as w);
    for i in 0 .. 366 * 8 loop
        -- as cron has it: when both days are given, either will do
        v_on_day := extract(day from v_day)::int = any (v_days);
        v_on_weekday := extract(dow from v_day)::int = any (v_weekdays);
        if v_fields[3] <> '*' and v_fields[5] <> '*' then
            v_on_day := v_on_day or v_on_weekday;
            v_on_weekday := true;
        end if;
        if extract(month from v_day)::int = any (v_months) and v_on_day and v_on_weekday then
            select min(t) into v_found
            from unnest(v_hours) as h, unnest(v_minutes) as m,
                lateral (select (v_day + make_interval(hours => h, mins => m)) at time zone p_tz as t) as moment
            where t > p_after;
            if v_found is not null then
                return v_found;
            end if;
        end if;
        v_day := v_day + 1;
    end loop;
    raise exception 'never due: %', p_cron using errcode = '22023';
end
$$;

comment on function private.cron_next(text, text, timestamptz) is
    'The first moment after p_after that a cron line names in a time zone; 22023 for a line that is none or never due.';

create function private.check_schedule()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    perform private.cron_next(new.cron, new.tz, now());
    return new;
end
$$;

comment on function private.check_schedule() is 'A schedule that could never run is refused when it is written.';

create trigger trg_job_schedules_check before insert or update of cron, tz on private.job_schedules
for each row execute function private.check_schedule();

-- The queue as workers use it: enqueue, claim, heartbeat, complete, fail, release, reap. Reached over REST, so each call is
-- one transaction and its answer may be lost: a claim can be asked for again, a completion said twice.
--
-- The calls of workers force generic plans: planning anew each time, as Postgres prefers for arrays of unknown length, costs
-- several times what they do. A test holds that no generic plan reads a table whole.
--
-- Lock order, everywhere: a waiting row, the job's row, its owner's places (an advisory lock each, sorted by id and all at
-- once). Whoever holds a later one takes earlier ones only with skip locked; so nothing waits in a circle.

create function private.job_cap(p_user_id uuid)
returns int
language sql
stable
security definer
set search_path = ''
as $$
    select coalesce((select places from private.job_caps where user_id = p_user_id), 4);
$$;

comment on function private.job_cap(uuid) is 'How many jobs of a person may run at once.';

create function private.job_rank(p_scheduled_at timestamptz, p_priority int)
returns timestamptz
language sql
immutable
set search_path = ''
as $$
    select p_scheduled_at - make_interval(mins => 5 * p_priority);
$$;

comment on function private.job_rank(timestamptz, int) is 'Where a job stands in the queue; see private.job_waiting.rank.';

create function private.lower_front(p_rank timestamptz)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    -- somebody else is at it: then the next look from the start, within a second, finds what is missed now
    perform from private.job_front where rank > p_rank for update skip locked;
    if found then
        update private.job_front set rank = p_rank where rank > p_rank;
    end if;
end
$$;

comment on function private.lower_front(timestamptz) is 'Tells claims that a job was admitted before the place where they begin to look.';

create function private.admit_jobs(p_owners uuid[])
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_owner uuid;
    v_free int;
    v_best record;
    v_worst record;
    v_front timestamptz;
begin
    perform pg_advisory_xact_lock(hashtextextended(owner::text, 90))
    from (select distinct o as owner from unnest(p_owners) as o where o is not null order by o) as owners;
    for v_owner in
        select o.owner from (select distinct o as owner from unnest(p_owners) as o) as o
        where exists (select from private.job_waiting as w where w.user_id = o.owner and w.state = 'waiting')
    loop
        v_free := private.job_cap(v_owner)
            - (select count(*) from private.job_waiting where user_id = v_owner and state = 'admitted')
            - (select count(*) from public.jobs where user_id = v_owner and status = 'running');
        if v_free > 0 then
            with admitted as (
                update private.job_waiting set state = 'admitted'
                where job_id = any (array(
                    select job_id from private.job_waiting
                    where user_id = v_owner and state = 'waiting'
                    order by rank, job_id
                    limit v_free
                    for update skip locked
                ))
                returning rank
            )
            select least(v_front, min(rank)) into v_front from admitted;
            continue;
        end if;
        -- all places are taken: a job that ranks before one that was admitted and not yet claimed takes its place
        select job_id, rank into v_best from private.job_waiting
        where user_id = v_owner and state = 'waiting' order by rank, job_id limit 1 for update skip locked;
        select job_id, rank into v_worst from private.job_waiting
        where user_id = v_owner and state = 'admitted' order by rank desc limit 1 for update skip locked;
        if v_best.rank < v_worst.rank then
            update private.job_waiting
            set state = case when job_id = v_best.job_id then 'admitted' else 'waiting' end
            where job_id in (v_best.job_id, v_worst.job_id);
            v_front := least(v_front, v_best.rank);
        end if;
    end loop;
    if v_front is not null then
        perform private.lower_front(v_front);
    end if;
end
$$;

comment on function private.admit_jobs(uuid[]) is 'Gives free places of these people to their waiting jobs, best rank first.';

create function private.admit_due_jobs(p_limit int)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_owners uuid[];
    v_front timestamptz;
begin
    with moved as (
        update private.job_waiting as w
        set state = case when w.user_id is null then 'admitted' else 'waiting' end
        where w.job_id = any (array(
            select job_id from private.job_waiting
            where state = 'later' and due_at <= private.clock()
            order by due_at
            limit p_limit
            for update skip locked
        ))
        returning w.user_id, w.rank
    )
    select array_agg(user_id) filter (where user_id is not null), min(rank) filter (where user_id is null)
    into v_owners, v_front
    from moved;
    perform private.admit_jobs(v_owners);
    if v_front is not null then
        perform private.lower_front(v_front);
    end if;
end
$$;

comment on function private.admit_due_jobs(int) is 'Lets jobs whose moment has come into the queue.';

create function private.queue_jobs(p_job_ids uuid[])
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_owners uuid[];
    v_front timestamptz;
begin
    with queued as (
        insert into private.job_waiting (job_id, type, user_id, provider, rank, due_at, state)
        select j.id, j.type, j.user_id, j.provider, private.job_rank(j.scheduled_at, j.priority), j.scheduled_at,
            case
                when j.scheduled_at > private.clock() then 'later'
                when j.user_id is null then 'admitted'
                else 'waiting'
            end
        from public.jobs as j
        where j.id = any (p_job_ids)
        returning user_id, rank, state
    )
    select array_agg(user_id) filter (where user_id is not null), min(rank) filter (where state = 'admitted')
    into v_owners, v_front
    from queued;
    perform private.admit_jobs(v_owners);
    if v_front is not null then
        perform private.lower_front(v_front);
    end if;
end
$$;

comment on function private.queue_jobs(uuid[]) is
    'Puts queued jobs into the waiting line and gives their owners'' free places away.';

create function public.svc_enqueue_job(
    p_type text,
    p_payload jsonb default '{}',
    p_user_id uuid default null,
    p_week_id uuid default null,
    p_dedupe_key text default null,
    p_dedupe_mode text default 'join',
    p_priority int default 0,
    p_scheduled_at timestamptz default null,
    p_max_retries int default 3,
    p_timeout_s int default 600,
    p_provider text default null
)
returns table (job_id uuid, created boolean)
language plpgsql
volatile
security definer
set search_path = ''
set plan_cache_mode = 'force_generic_plan'
as $$
#variable_conflict use_column
declare
    v_id uuid;
begin
    if p_type is null or p_payload is null then
        raise exception 'a job needs a type and a payload' using errcode = '22004';
    end if;
    if p_type <> all (enum_range(null::public.job_type)::text[]) then
        raise exception 'unknown job type' using errcode = '22023';
    end if;
    if p_dedupe_mode is distinct from 'join' and p_dedupe_mode is distinct from 'queued' then
        raise exception 'dedupe mode is join or queued' using errcode = '22023';
    end if;
    if p_priority not between -1000 and 1000 then
        raise exception 'a priority is -1000 to 1000' using errcode = '22003';
    end if;
    -- the winner of a race may end between our insert and our look: then the key is free again
    for i in 1 .. 10 loop
        if p_dedupe_mode = 'queued' then
            -- one that runs may have read its input before the change we stand for: it gives the key up
            update public.jobs set dedupe_key = null where dedupe_key = p_dedupe_key and status = 'running';
        end if;
        insert into public.jobs (
            type, user_id, week_id, dedupe_key, priority, scheduled_at, max_retries, timeout_s, provider
        )
        values (
            p_type::public.job_type, p_user_id, p_week_id, p_dedupe_key, coalesce(p_priority, 0),
            coalesce(p_scheduled_at, private.clock()), coalesce(p_max_retries, 3), coalesce(p_timeout_s, 600), p_provider
        )
        on conflict (dedupe_key) where status in ('queued', 'running') do nothing
        returning id into v_id;
        if v_id is not null then
            insert into private.job_runtime (job_id, payload) values (v_id, p_payload);
            perform private.queue_jobs(array[v_id]);
            return query select v_id, true;
            return;
        end if;
        select id into v_id from public.jobs
        where dedupe_key = p_dedupe_key and (status = 'queued' or status = 'running' and p_dedupe_mode = 'join');
        if v_id is not null then
            return query select v_id, false;
            return;
        end if;
    end loop;
    raise exception 'the key % is taken and freed too fast', p_dedupe_key using errcode = '40001';
end
$$;

comment on function public.svc_enqueue_job(text, jsonb, uuid, uuid, text, text, int, timestamptz, int, int, text) is
    'Asks for work. A live job with the same dedupe_key is returned instead (created false). Mode queued joins only one that '
    'still waits: a running one gives its key up, so that a change made meanwhile is not lost.';

create function private.end_try(
    p_job_id uuid,
    p_error_code text,
    p_error_message text,
    p_error_detail text,
    p_retryable boolean,
    p_wait_s numeric
)
returns public.jobs
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_job public.jobs;
    v_now constant timestamptz := private.clock();
begin
    -- the caller holds the row
    select * into v_job from public.jobs where id = p_job_id;
    if v_job.cancel_requested then
        v_job.status := 'cancelled';
    elsif p_retryable and v_job.retry_count < v_job.max_retries then
        v_job.status := 'queued';
        if p_wait_s > 0 then
            v_job.scheduled_at := v_now + make_interval(secs => p_wait_s::float8);
        end if;
    else
        v_job.status := 'failed';
    end if;
    update private.job_runtime
    set lease_token = null, locked_until = null, locked_by = null, claim_id = null,
        error_detail = left(p_error_detail, 4000)
    where job_id = p_job_id;
    update public.jobs
    set status = v_job.status,
        scheduled_at = v_job.scheduled_at,
        retry_count = retry_count + (v_job.status = 'queued')::int,
        error_code = left(p_error_code, 200),
        error_message = left(p_error_message, 500),
        completed_at = case when v_job.status <> 'queued' then v_now end
    where id = p_job_id
    returning * into v_job;
    return v_job;
end
$$;

comment on function private.end_try(uuid, text, text, text, boolean, numeric) is
    'Ends a try without success: queued again (after p_wait_s seconds; 0: in its old place), failed when no try is left, '
    'cancelled when asked for. The waiting line and the owner''s places are the caller''s business.';

create function private.reap_jobs(p_limit int)
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_now constant timestamptz := private.clock();
    v_job record;
    v_ended public.jobs;
    v_count int := 0;
    v_owners uuid[] := '{}';
    v_again uuid[] := '{}';
begin
    for v_job in
        select j.id
        from public.jobs as j
        join private.job_runtime as r on r.job_id = j.id
        where j.status = 'running' and r.locked_until < v_now
        limit p_limit
        for update skip locked
    loop
        -- no back-off: the worker died, most likely not by this job, and it has waited a lease already
        v_ended := private.end_try(
            v_job.id, 'lease_expired', 'The work was interrupted and is tried again.', 'the lease ran out', true, 0
        );
        if v_ended.status = 'queued' then
            v_again := v_again || v_job.id;
        end if;
        v_owners := v_owners || v_ended.user_id;
        v_count := v_count + 1;
    end loop;
    if v_count > 0 then
        perform private.queue_jobs(v_again);
        perform private.admit_jobs(v_owners);
    end if;
    return v_count;
end
$$;

comment on function private.reap_jobs(int) is 'Ends tries whose lease ran out, as failures that may be tried again at once.';

create function private.find_front(p_now timestamptz)
returns timestamptz
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_rank timestamptz;
begin
    select w.rank into v_rank from private.job_waiting as w where w.state = 'admitted' order by w.rank, w.job_id limit 1;
    v_rank := coalesce(v_rank, '-infinity');
    perform from private.job_front for update skip locked;
    if found then
        update private.job_front set rank = v_rank, looked_at = p_now;
    end if;
    return v_rank;
end
$$;

comment on function private.find_front(timestamptz) is 'Looks for the first admitted job from the start, and notes where it stands.';

create function private.take_waiting(
    p_types public.job_type[], p_blocked text[], p_from timestamptz, p_but uuid[], p_limit int
)
returns uuid[]
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    return array(
        select w.job_id from private.job_waiting as w
        where w.state = 'admitted'
            and w.rank >= p_from
            and w.type = any (p_types)
            and (w.provider is null or p_blocked is null or w.provider <> all (p_blocked))
            and w.job_id <> all (p_but)
        order by w.rank, w.job_id
        limit p_limit
        for update skip locked
    );
end
$$;

comment on function private.take_waiting(public.job_type[], text[], timestamptz, uuid[], int) is
    'Locks the first admitted jobs of these types that nobody else is taking, none of a blocked provider.';

create function private.take_tokens(p_job_ids uuid[])
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_bucket private.provider_buckets;
    v_tokens numeric;
    v_waits jsonb;
    v_all jsonb := '{}';
begin
    -- a bucket hands out what it holds, and what comes back within a second
    for v_bucket in
        select * from private.provider_buckets as b
        where b.provider in (select w.provider from private.job_waiting as w where w.job_id = any (p_job_ids))
        order by b.provider
        for update
    loop
        v_tokens := private.bucket_tokens(v_bucket);
        select jsonb_object_agg(
            c.job_id,
            case
                when v_bucket.paused_until > private.clock() or c.nth > v_tokens + v_bucket.refill_per_s then '"refused"'
                else to_jsonb(greatest(0, ceil((c.nth - v_tokens) / v_bucket.refill_per_s * 1000))::int)
            end
        )
        into v_waits
        from (
            select w.job_id, row_number() over (order by w.rank, w.job_id) as nth
            from private.job_waiting as w where w.job_id = any (p_job_ids) and w.provider = v_bucket.provider
        ) as c;
        v_all := v_all || v_waits;
        update private.provider_buckets
        set tokens = v_tokens - (select count(*) from jsonb_each_text(v_waits) as w where w.value <> 'refused'),
            refilled_at = private.clock()
        where provider = v_bucket.provider;
    end loop;
    return v_all;
end
$$;

comment on function private.take_tokens(uuid[]) is
    'Takes a token for each job from its provider''s bucket: by job, the milliseconds to wait before the work, or "refused".';

create function public.svc_claim_jobs(
    p_worker text,
    p_types text[],
    p_limit int,
    p_lease_s int default 60,
    p_claim_id uuid default null
)
returns table (
    job_id uuid,
    type text,
    user_id uuid,
    week_id uuid,
    payload jsonb,
    retry_count int,
    max_retries int,
    timeout_s int,
    lease_token uuid,
    locked_until timestamptz,
    provider_wait_ms int
)
language plpgsql
volatile
security definer
set search_path = ''
set plan_cache_mode = 'force_generic_plan'
as $$
#variable_conflict use_column
declare
    v_now constant timestamptz := private.clock();
    v_until constant timestamptz := v_now + make_interval(secs => least(greatest(coalesce(p_lease_s, 60), 1), 3600));
    v_limit constant int := least(greatest(coalesce(p_limit, 1), 1), 100);
    v_claim constant uuid := coalesce(p_claim_id, gen_random_uuid());
    v_types public.job_type[];
    v_from timestamptz;
    v_looked_at timestamptz;
    v_due boolean;
    v_limited boolean;
    v_blocked text[];
    v_taken uuid[];
    v_waits jsonb := '{}';
begin
    if p_worker is null or p_types is null then
        raise exception 'a claim names its worker and its types' using errcode = '22004';
    end if;
    -- nobody waits for the disk: should a power cut forget this claim, its jobs wait again, as after a lease that ran out
    perform set_config('synchronous_commit', 'off', true);
    if p_claim_id is not null then
        -- the first asking may still be under way
        perform pg_advisory_xact_lock(hashtextextended(p_claim_id::text, 91));
    end if;
    if p_claim_id is null or not exists (
        select from private.job_runtime as r join public.jobs as j on j.id = r.job_id
        where r.claim_id = v_claim and j.status = 'running'
    ) then
        v_types := array(select t::public.job_type from unnest(p_types) as t
                         where t = any (enum_range(null::public.job_type)::text[]));
        select f.rank, f.looked_at,
            exists (select from private.job_waiting as w where w.state = 'later' and w.due_at <= v_now),
            exists (select from private.provider_buckets)
        into v_from, v_looked_at, v_due, v_limited
        from private.job_front as f;
        if v_limited then
            select array_agg(b.provider) into v_blocked from private.provider_buckets as b
            where b.paused_until > v_now or private.bucket_tokens(b) + b.refill_per_s < 1;
        end if;
        if v_due then
            perform private.admit_due_jobs(100);
            select f.rank into v_from from private.job_front as f;
        end if;
        if v_looked_at not between v_now - interval '1 second' and v_now then
            v_from := private.find_front(v_now);
        end if;
        v_taken := private.take_waiting(v_types, v_blocked, v_from, '{}', v_limit);
        if cardinality(v_taken) < v_limit then
            -- little to do: time to look for what was left lying
            perform private.reap_jobs(20);
            v_taken := v_taken
                || private.take_waiting(v_types, v_blocked, '-infinity', v_taken, v_limit - cardinality(v_taken));
        end if;
        if v_limited then
            v_waits := private.take_tokens(v_taken);
            v_taken := array(
                select w.job_id from private.job_waiting as w
                where w.job_id = any (v_taken) and (v_waits ->> w.job_id::text is distinct from 'refused')
            );
        end if;
        if cardinality(v_taken) = 0 then
            return;
        end if;
        -- plain statements by id: one with several parts would cost twice as much. A job that is being deleted with its
        -- owner at this moment is left alone: nobody here waits for a job's row
        v_taken := array(select j.id from public.jobs as j where j.id = any (v_taken) for update skip locked);
        delete from private.job_waiting as w where w.job_id = any (v_taken);
        update private.job_runtime as r
        set lease_token = gen_random_uuid(), claim_id = v_claim, locked_by = left(p_worker, 200), locked_until = v_until
        where r.job_id = any (v_taken);
        update public.jobs as j
        set status = 'running', started_at = v_now, error_code = null, error_message = null, progress = '{}',
            updated_at = now()
        where j.id = any (v_taken);
    end if;
    return query
    select j.id, j.type::text, j.user_id, j.week_id, r.payload, j.retry_count, j.max_retries, j.timeout_s, r.lease_token,
           r.locked_until, coalesce((v_waits ->> j.id::text)::int, 0)
    from private.job_runtime as r
    join public.jobs as j on j.id = r.job_id
    where r.claim_id = v_claim and j.status = 'running'
    order by j.scheduled_at - make_interval(mins => 5 * j.priority), j.id;
end
$$;

comment on function public.svc_claim_jobs(text, text[], int, int, uuid) is
    'Hands out up to p_limit (1 to 100) waiting jobs of the given types, each leased for p_lease_s seconds. The same claim id '
    'gives the same rows again, while they run. provider_wait_ms: begin the work no sooner.';

create function public.svc_heartbeat_jobs(p_jobs jsonb, p_lease_s int default 60)
returns table (job_id uuid, state text)
language plpgsql
volatile
security definer
set search_path = ''
set plan_cache_mode = 'force_generic_plan'
as $$
#variable_conflict use_column
declare
    v_until constant timestamptz :=
        private.clock() + make_interval(secs => least(greatest(coalesce(p_lease_s, 60), 1), 3600));
begin
    if p_jobs is null then
        raise exception 'which jobs' using errcode = '22004';
    end if;
    return query
    with said as (
        select * from jsonb_to_recordset(p_jobs) as x (job_id uuid, lease_token uuid, progress jsonb)
    ),
    held as (
        select s.job_id, j.cancel_requested
        from said as s
        join private.job_runtime as r on r.job_id = s.job_id and r.lease_token = s.lease_token
        join public.jobs as j on j.id = s.job_id and j.status = 'running'
        order by s.job_id
        for update of r
    ),
    kept as (
        update private.job_runtime as r set locked_until = v_until from held as h where r.job_id = h.job_id
    ),
    shown as (
        update public.jobs as j set progress = s.progress
        from said as s join held as h on h.job_id = s.job_id
        where j.id = s.job_id and jsonb_typeof(s.progress) = 'object' and j.progress is distinct from s.progress
    )
    select s.job_id, case
        when h.cancel_requested then 'cancel'
        when h.job_id is not null then 'held'
        when exists (select from public.jobs as j where j.id = s.job_id) then 'lost'
        else 'gone'
    end
    from said as s left join held as h on h.job_id = s.job_id;
end
$$;

comment on function public.svc_heartbeat_jobs(jsonb, int) is
    'Keeps leases and shows progress. Per job: held; cancel, the owner asked for an end; lost, somebody else has it or it is '
    'over; gone, deleted with its owner or week.';

create function public.svc_complete_jobs(p_jobs jsonb)
returns table (job_id uuid, done boolean)
language plpgsql
volatile
security definer
set search_path = ''
set plan_cache_mode = 'force_generic_plan'
as $$
#variable_conflict use_column
declare
    v_held uuid[];
begin
    if p_jobs is null then
        raise exception 'which jobs' using errcode = '22004';
    end if;
    -- both rows: whoever waited here for a claim must see its new token
    v_held := array(
        select j.id
        from jsonb_to_recordset(p_jobs) as s (job_id uuid, lease_token uuid)
        join private.job_runtime as r on r.job_id = s.job_id and r.lease_token = s.lease_token
        join public.jobs as j on j.id = s.job_id and j.status = 'running'
        order by j.id
        for update of j, r
    );
    if jsonb_path_exists(p_jobs, '$[*].result') then
        update public.jobs as j
        set status = 'succeeded', result = nullif(s.result, 'null'), completed_at = private.clock(), updated_at = now()
        from jsonb_to_recordset(p_jobs) as s (job_id uuid, result jsonb)
        where j.id = any (v_held) and j.id = s.job_id;
    else
        update public.jobs as j
        set status = 'succeeded', completed_at = private.clock(), updated_at = now()
        where j.id = any (v_held);
    end if;
    perform private.admit_jobs(array(select j.user_id from public.jobs as j where j.id = any (v_held)));
    if cardinality(v_held) = jsonb_array_length(p_jobs) then
        return query select j.id, true from unnest(v_held) as j (id);
        return;
    end if;
    -- the token stays with a finished job, so that a completion whose answer was lost is confirmed the second time
    return query
    select s.job_id, exists (
        select from public.jobs as j join private.job_runtime as r on r.job_id = j.id
        where j.id = s.job_id and j.status = 'succeeded' and r.lease_token = s.lease_token
    )
    from jsonb_to_recordset(p_jobs) as s (job_id uuid, lease_token uuid);
end
$$;

comment on function public.svc_complete_jobs(jsonb) is
    'Ends jobs in success, with their results. done false: the lease was lost, nothing was changed.';

create function private.held_job(p_job_id uuid, p_lease_token uuid)
returns public.jobs
language sql
volatile
security definer
set search_path = ''
as $$
    select j.*
    from public.jobs as j
    join private.job_runtime as r on r.job_id = j.id and r.lease_token = p_lease_token
    where j.id = p_job_id and j.status = 'running'
    for update;
$$;

comment on function private.held_job(uuid, uuid) is 'The running job, locked, if this lease still holds it; else null.';

create function public.svc_fail_job(
    p_job_id uuid,
    p_lease_token uuid,
    p_error_code text,
    p_error_message text,
    p_retryable boolean default true,
    p_retry_after_s int default null,
    p_error_detail text default null
)
returns table (status text, scheduled_at timestamptz)
language plpgsql
volatile
security definer
set search_path = ''
set plan_cache_mode = 'force_generic_plan'
as $$
#variable_conflict use_column
declare
    v_job public.jobs;
    v_wait numeric;
begin
    if p_job_id is null or p_lease_token is null then
        raise exception 'which job, by which lease' using errcode = '22004';
    end if;
    v_job := private.held_job(p_job_id, p_lease_token);
    if v_job.id is null then
        return;
    end if;
    -- half fixed, half random, so that what failed together does not come back together
    v_wait := least(3600, 30 * 2 ^ least(v_job.retry_count, 10));
    v_wait := greatest(v_wait / 2 + v_wait / 2 * private.jitter()::numeric, least(coalesce(p_retry_after_s, 0), 86400));
    v_job := private.end_try(
        p_job_id, p_error_code, p_error_message, p_error_detail, coalesce(p_retryable, true), v_wait
    );
    if v_job.status = 'queued' then
        perform private.queue_jobs(array[p_job_id]);
    end if;
    perform private.admit_jobs(array[v_job.user_id]);
    return query select v_job.status::text, v_job.scheduled_at;
end
$$;

comment on function public.svc_fail_job(uuid, uuid, text, text, boolean, int, text) is
    'Ends a try in failure: queued again (at scheduled_at) or over. No row when the lease was lost; then nothing is changed.';

create function public.svc_release_jobs(p_jobs jsonb)
returns int
language plpgsql
volatile
security definer
set search_path = ''
set plan_cache_mode = 'force_generic_plan'
as $$
declare
    v_owners uuid[];
    v_again uuid[];
    v_count int;
begin
    if p_jobs is null then
        raise exception 'which jobs' using errcode = '22004';
    end if;
    with held as (
        select j.id
        from jsonb_to_recordset(p_jobs) as s (job_id uuid, lease_token uuid)
        join private.job_runtime as r on r.job_id = s.job_id and r.lease_token = s.lease_token
        join public.jobs as j on j.id = s.job_id and j.status = 'running'
        order by j.id
        for update of j, r
    ),
    freed as (
        update private.job_runtime as r
        set lease_token = null, locked_until = null, locked_by = null, claim_id = null
        from held as h where r.job_id = h.id
    ),
    ended as (
        update public.jobs as j
        set status = case when cancel_requested then 'cancelled' else 'queued' end::public.job_status,
            completed_at = case when cancel_requested then private.clock() end
        from held as h where j.id = h.id
        returning j.id, j.user_id, j.status
    )
    select array_agg(id) filter (where status = 'queued'), array_agg(user_id), count(*)
    into v_again, v_owners, v_count
    from ended;
    perform private.queue_jobs(v_again);
    perform private.admit_jobs(v_owners);
    return v_count;
end
$$;

comment on function public.svc_release_jobs(jsonb) is
    'Gives jobs back as they were, the try not counted: a worker that stops in good order. Returns how many.';

create function public.svc_reap_expired_jobs(p_limit int default 100)
returns int
language plpgsql
volatile
security definer
set search_path = ''
set plan_cache_mode = 'force_generic_plan'
as $$
declare
    v_count constant int := private.reap_jobs(least(greatest(coalesce(p_limit, 100), 1), 1000));
begin
    perform private.admit_due_jobs(1000);
    return v_count;
end
$$;

comment on function public.svc_reap_expired_jobs(int) is
    'Ends tries whose lease ran out and lets due jobs in. Returns how many leases had run out.';

create function private.refill_places()
returns trigger
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    perform private.admit_jobs(array(select distinct user_id from gone where status in ('queued', 'running')));
    return null;
end
$$;

comment on function private.refill_places() is 'AFTER DELETE on jobs: the places of live ones are free again.';

create trigger trg_jobs_places after delete on public.jobs referencing old table as gone
for each statement execute function private.refill_places();

-- Around the queue: what the owner may ask for, the clock, pauses, and forgetting.

create function private.own_job(p_id uuid)
returns uuid
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_me constant uuid := private.caller();
begin
    if p_id is null then
        raise exception 'which job' using errcode = '22004';
    end if;
    if not exists (select from public.jobs where id = p_id and user_id = v_me) then
        raise exception 'no such job' using errcode = 'PT404';
    end if;
    return p_id;
end
$$;

comment on function private.own_job(uuid) is 'The id again, if it is a job of the caller''s; PT404 for any other.';

create function private.end_live_job(p_job_id uuid)
returns public.jobs
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_job public.jobs;
begin
    -- waits for a claim that is taking it; then it is running
    delete from private.job_waiting where job_id = p_job_id;
    select * into v_job from public.jobs where id = p_job_id for update;
    if v_job.status = 'queued' then
        update public.jobs
        set status = 'cancelled', cancel_requested = true, completed_at = private.clock()
        where id = p_job_id returning * into v_job;
        perform private.admit_jobs(array[v_job.user_id]);
    elsif v_job.status = 'running' then
        update public.jobs set cancel_requested = true where id = p_job_id returning * into v_job;
    else
        raise exception 'the job is over' using errcode = 'PT409';
    end if;
    return v_job;
end
$$;

comment on function private.end_live_job(uuid) is
    'Cancels a job: at once while it waits, at its worker''s next heartbeat while it runs. PT409 when it is over.';

create function private.cancel_job(p_id uuid)
returns public.jobs
language sql
volatile
security definer
set search_path = ''
as $$
    select private.end_live_job(private.own_job(p_id));
$$;

comment on function private.cancel_job(uuid) is 'See public.cancel_job.';

create function public.cancel_job(p_id uuid)
returns public.jobs
language sql
volatile
set search_path = ''
begin atomic
    select private.cancel_job(p_id);
end;

comment on function public.cancel_job(uuid) is
    'Ends an own job: at once while it waits, at the worker''s next heartbeat while it runs. 409 when it is over.';

create function private.retry_job(p_id uuid)
returns public.jobs
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_job public.jobs;
begin
    select * into v_job from public.jobs where id = private.own_job(p_id) for update;
    if v_job.status is distinct from 'failed' then
        raise exception 'only a failed job is tried again' using errcode = 'PT409';
    end if;
    begin
        update public.jobs
        set status = 'queued', retry_count = 0, cancel_requested = false, error_code = null, error_message = null,
            scheduled_at = private.clock(), completed_at = null
        where id = p_id returning * into v_job;
    exception when unique_violation then
        raise exception 'the same work is under way' using errcode = 'PT409';
    end;
    perform private.queue_jobs(array[p_id]);
    return v_job;
end
$$;

comment on function private.retry_job(uuid) is 'See public.retry_job.';

create function public.retry_job(p_id uuid)
returns public.jobs
language sql
volatile
set search_path = ''
begin atomic
    select private.retry_job(p_id);
end;

comment on function public.retry_job(uuid) is 'Tries an own failed job again, from the start. 409 in any other state.';

create function public.svc_pause_provider(p_provider text, p_seconds numeric)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if p_provider is null or p_seconds is null then
        raise exception 'which provider, for how long' using errcode = '22004';
    end if;
    if p_seconds < 0 or p_seconds > 86400 * 30 then
        raise exception 'a pause is 0 to 30 days' using errcode = '22003';
    end if;
    insert into private.provider_buckets as b (provider, tokens, capacity, refill_per_s, refilled_at, paused_until)
    values (p_provider, 1000, 1000, 1000, private.clock(), private.clock() + make_interval(secs => p_seconds::float8))
    on conflict (provider) do update
    -- a longer pause that somebody else asked for stays; zero ends any
    set paused_until = case when p_seconds > 0 then greatest(b.paused_until, excluded.paused_until) end;
end
$$;

comment on function public.svc_pause_provider(text, numeric) is
    'No job of this provider is handed out for so many seconds; 0 ends a pause.';

create function public.svc_tick_schedules()
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_now constant timestamptz := private.clock();
    v_schedule private.job_schedules;
    v_due timestamptz;
    v_count int := 0;
begin
    for v_schedule in
        select * from private.job_schedules where next_run_at <= v_now order by name for update skip locked
    loop
        v_due := v_schedule.next_run_at;
        -- a moment more than five minutes ago was missed
        if v_schedule.catch_up <> 'skip' or v_due > v_now - interval '5 minutes' then
            perform public.svc_enqueue_job(
                p_type => v_schedule.type::text, p_payload => v_schedule.payload,
                p_dedupe_key => format('schedule:%s:%s', v_schedule.name, extract(epoch from v_due)::bigint)
            );
            v_count := v_count + 1;
        end if;
        update private.job_schedules
        set next_run_at = private.cron_next(
            v_schedule.cron, v_schedule.tz, case v_schedule.catch_up when 'all' then v_due else v_now end
        )
        where name = v_schedule.name;
    end loop;
    return v_count;
end
$$;

comment on function public.svc_tick_schedules() is
    'Enqueues what the clock asks for, each due moment once however many workers tick. Returns how many.';

create function private.purge_jobs()
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_now constant timestamptz := private.clock();
    v_count int;
begin
    delete from public.jobs where id = any (array(
        select id from public.jobs
        where completed_at < v_now - interval '30 days'
            and (status in ('succeeded', 'cancelled') or (status = 'failed' and completed_at < v_now - interval '90 days'))
        order by completed_at
        limit 5000
        for update skip locked
    ));
    get diagnostics v_count = row_count;
    return jsonb_build_object('jobs', v_count);
end
$$;

comment on function private.purge_jobs() is
    'Forgets jobs 30 days after success or cancellation, 90 after failure; at most 5000 a call.';

-- The agents of the product, as people see them. What they are told (prompts, model settings) is in agent_configs, for
-- staff alone. Kept by staff.

create type public.agent_type as enum (
    'clo', 'engineer', 'socratic', 'brand', 'headstart', 'assistant', 'tutor_companion'
);
comment on type public.agent_type is
    'What an agent is for: clo (learning objectives), engineer (code), socratic (dialogues), brand (brand '
    'packages), headstart, assistant (of teachers), tutor_companion.';

create table public.agents (
    id uuid primary key default gen_random_uuid(),
    type public.agent_type not null,
    name text not null,
    description text,
    is_active boolean not null default true,
    version text not null default '1',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint agents_name_version_key unique (name, version),
    constraint agents_name_check check (char_length(name) between 1 and 200),
    constraint agents_description_check check (char_length(description) <= 5000),
    constraint agents_version_check check (char_length(version) between 1 and 50)
);

comment on table public.agents is 'Agents and their versions.';
comment on column public.agents.id is 'Identity of the row.';
comment on column public.agents.type is 'What it is for.';
comment on column public.agents.name is 'Name.';
comment on column public.agents.description is 'What it does, for people.';
comment on column public.agents.is_active is 'Whether it works now.';
comment on column public.agents.version is 'Version of this agent.';
comment on column public.agents.created_at is 'When the row was written.';
comment on column public.agents.updated_at is 'When the row last changed; kept by trigger.';

create trigger trg_agents_updated_at before update on public.agents
    for each row execute function public.set_updated_at();

-- What an agent is told. Staff only: a prompt that users can read is a prompt they can turn.

create table public.agent_configs (
    agent_id uuid primary key,
    config jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint agent_configs_agent_id_fkey foreign key (agent_id) references public.agents (id) on delete cascade,
    constraint agent_configs_config_check check (jsonb_typeof(config) = 'object')
);

comment on table public.agent_configs is 'Settings of agents.';
comment on column public.agent_configs.agent_id is 'The agent.';
comment on column public.agent_configs.config is 'Prompts and model settings.';
comment on column public.agent_configs.created_at is 'When the row was written.';
comment on column public.agent_configs.updated_at is 'When the row last changed; kept by trigger.';

create trigger trg_agent_configs_updated_at before update on public.agent_configs
    for each row execute function public.set_updated_at();

-- Which agent worked on what: a socratic session, a job or a week, exactly one of them. Written by the service.

create table public.agent_assignments (
    id uuid primary key default gen_random_uuid(),
    agent_id uuid not null,
    socratic_session_id uuid,
    job_id uuid,
    week_id uuid,
    assigned_at timestamptz not null default now(),
    completed_at timestamptz,

    constraint agent_assignments_agent_id_fkey foreign key (agent_id) references public.agents (id) on delete cascade,
    constraint agent_assignments_socratic_session_id_fkey
    foreign key (socratic_session_id) references public.socratic_sessions (id) on delete cascade,
    constraint agent_assignments_job_id_fkey foreign key (job_id) references public.jobs (id) on delete cascade,
    constraint agent_assignments_week_id_fkey foreign key (week_id) references public.weeks (id) on delete cascade,
    constraint agent_assignments_target_check check (num_nonnulls(socratic_session_id, job_id, week_id) = 1),
    constraint agent_assignments_completed_at_check check (completed_at >= assigned_at)
);

create index idx_agent_assignments_agent_id on public.agent_assignments (agent_id);
create index idx_agent_assignments_socratic_session_id on public.agent_assignments (socratic_session_id)
where socratic_session_id is not null;
create index idx_agent_assignments_job_id on public.agent_assignments (job_id) where job_id is not null;
create index idx_agent_assignments_week_id on public.agent_assignments (week_id) where week_id is not null;

comment on table public.agent_assignments is 'Work given to agents.';
comment on column public.agent_assignments.id is 'Identity of the row.';
comment on column public.agent_assignments.agent_id is 'The agent.';
comment on column public.agent_assignments.socratic_session_id is 'The dialogue; or';
comment on column public.agent_assignments.job_id is 'the job; or';
comment on column public.agent_assignments.week_id is 'the week.';
comment on column public.agent_assignments.assigned_at is 'When it was given the work.';
comment on column public.agent_assignments.completed_at is 'When it was done.';

create function private.my_agent_assignments()
returns uuid[]
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_me constant uuid := auth.uid();
begin
    return array(
        select a.id from public.agent_assignments as a
        join public.socratic_sessions as s on s.id = a.socratic_session_id and s.user_id = v_me
        union all
        select a.id from public.agent_assignments as a
        join public.jobs as j on j.id = a.job_id and j.user_id = v_me
        union all
        select a.id from public.agent_assignments as a
        join public.weeks as w on w.id = a.week_id and w.user_id = v_me
    );
end
$$;

comment on function private.my_agent_assignments() is
    'Ids of the work agents did on the caller''s dialogues, jobs and weeks.';

-- What the product forgets, and what it tidies: one function, called daily by a schedule and safe to call at any time.
-- It deletes in batches, because a request to the service has seconds; what is left goes with the next call. Education
-- records (goals, sessions, summaries, ratings, practice, questions, overrides) stay until the account goes.

create function private.fail_stuck_rows()
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_cutoff constant timestamptz := private.clock() - interval '1 hour';
    v_row record;
    v_count int := 0;
begin
    -- Rows whose work no live job will finish: a job ended badly since the row last changed, or nothing happened for
    -- an hour. Each state machine knows one way to failed, by way of the state in which the work runs, so a row that
    -- still waits is moved there first.
    for v_row in
        select l.id, l.status from public.lectures as l
        where l.status in ('pending', 'downloading')
            and not exists (
                select from public.jobs as j
                join private.job_runtime as r on r.job_id = j.id
                where j.status in ('queued', 'running')
                    and j.type in ('lecture_download', 'lecture_transcription', 'lecture_ingest')
                    and r.payload ->> 'lecture_id' = l.id::text
            )
            and (
                l.updated_at < v_cutoff
                or exists (
                    select from public.jobs as j
                    join private.job_runtime as r on r.job_id = j.id
                    where j.status in ('failed', 'cancelled')
                        and j.type in ('lecture_download', 'lecture_transcription', 'lecture_ingest')
                        and j.completed_at >= l.updated_at
                        and r.payload ->> 'lecture_id' = l.id::text
                )
            )
        for update of l skip locked
    loop
        if v_row.status = 'pending' then
            update public.lectures set status = 'downloading' where id = v_row.id;
        end if;
        update public.lectures
        set status = 'failed', error_message = 'The work on this lecture stopped before it was done.'
        where id = v_row.id;
        v_count := v_count + 1;
    end loop;

    for v_row in
        select v.id, v.status from public.reviews as v
        where v.status in ('pending', 'running')
            and not exists (
                select from public.jobs as j
                join private.job_runtime as r on r.job_id = j.id
                where j.status in ('queued', 'running')
                    and j.type in ('code_review')
                    and r.payload ->> 'review_id' = v.id::text
            )
            and (
                v.updated_at < v_cutoff
                or exists (
                    select from public.jobs as j
                    join private.job_runtime as r on r.job_id = j.id
                    where j.status in ('failed', 'cancelled')
                        and j.type in ('code_review')
                        and j.completed_at >= v.updated_at
                        and r.payload ->> 'review_id' = v.id::text
                )
            )
        for update of v skip locked
    loop
        if v_row.status = 'pending' then
            update public.reviews set status = 'running' where id = v_row.id;
        end if;
        update public.reviews set status = 'failed', error_message = 'The review stopped before it was done.'
        where id = v_row.id;
        v_count := v_count + 1;
    end loop;

    for v_row in
        select c.id, c.status from public.content_sources as c
        where c.status in ('pending', 'processing')
            and not exists (
                select from public.jobs as j
                join private.job_runtime as r on r.job_id = j.id
                where j.status in ('queued', 'running')
                    and j.type in ('content_generation', 'document_ingest')
                    and r.payload ->> 'content_source_id' = c.id::text
            )
            and (
                c.updated_at < v_cutoff
                or exists (
                    select from public.jobs as j
                    join private.job_runtime as r on r.job_id = j.id
                    where j.status in ('failed', 'cancelled')
                        and j.type in ('content_generation', 'document_ingest')
                        and j.completed_at >= c.updated_at
                        and r.payload ->> 'content_source_id' = c.id::text
                )
            )
        for update of c skip locked
    loop
        if v_row.status = 'pending' then
            update public.content_sources set status = 'processing' where id = v_row.id;
        end if;
        update public.content_sources set status = 'failed', error_message = 'The material could not be read in time.'
        where id = v_row.id;
        v_count := v_count + 1;
    end loop;
    return v_count;
end
$$;

comment on function private.fail_stuck_rows() is
    'Fails lectures, reviews and content sources whose job ended badly, or that stood still for an hour without a live '
    'job; returns how many.';

create function public.svc_purge_expired()
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_now constant timestamptz := private.clock();
    v_batch constant int := 5000;
    v_counts jsonb := '{}';
    v_n int;
begin
    delete from private.oauth_states where state_hash in (
        select state_hash from private.oauth_states where expires_at < v_now - interval '1 day' limit v_batch
    );
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('oauth_states', v_n);

    delete from private.lti_states where state_hash in (
        select state_hash from private.lti_states where expires_at < v_now - interval '1 day' limit v_batch
    );
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('lti_states', v_n);

    delete from private.lti_tickets where ticket_hash in (
        select ticket_hash from private.lti_tickets where expires_at < v_now - interval '1 day' limit v_batch
    );
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('lti_tickets', v_n);

    delete from private.lti_launches where id in (
        select id from private.lti_launches where expires_at < v_now - interval '1 day' limit v_batch
    );
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('lti_launches', v_n);

    -- an id reserved for an account that was never made
    delete from private.lti_identities where id in (
        select i.id from private.lti_identities as i
        where i.created_at < v_now - interval '1 day'
            and not exists (select from auth.users as u where u.id = i.user_id)
        limit v_batch
    );
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('lti_identities', v_n);

    delete from public.courses_cache where id in (
        select id from public.courses_cache where cached_at < v_now - interval '24 hours' limit v_batch
    );
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('courses_cache', v_n);

    v_counts := v_counts || jsonb_build_object('jobs', to_jsonb(private.purge_jobs()));

    -- the documents stay
    delete from public.headstart_runs where id in (
        select id from public.headstart_runs
        where status in ('succeeded', 'failed', 'cancelled') and created_at < v_now - interval '180 days' limit v_batch
    );
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('headstart_runs', v_n);

    delete from private.generation_events where (stream_id, seq) in (
        select stream_id, seq from private.generation_events where at < v_now - interval '1 day' limit v_batch
    );
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('generation_events', v_n);

    delete from public.notifications where id in (
        select id from public.notifications
        where coalesce(dismissed_at, sent_at) < v_now - interval '90 days' limit v_batch
    );
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('notifications', v_n);

    delete from public.nudges where id in (
        select id from public.nudges where created_at < v_now - interval '400 days' limit v_batch
    );
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('nudges', v_n);

    -- the row stays: it is what makes a replay harmless
    update public.payment_events set payload = '{}' where id in (
        select id from public.payment_events
        where processed and payload <> '{}' and processed_at < v_now - interval '90 days' limit v_batch
    );
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('payment_events', v_n);

    delete from private.storage_deletions where id in (
        select id from private.storage_deletions where done_at < v_now - interval '30 days' limit v_batch
    );
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('storage_deletions', v_n);

    delete from private.idempotency_keys where (user_id, route, key) in (
        select user_id, route, key from private.idempotency_keys where expires_at <= v_now limit v_batch
    );
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('idempotency_keys', v_n);

    delete from private.rate_buckets where (bucket, window_start) in (
        select bucket, window_start from private.rate_buckets where window_end < v_now limit v_batch
    );
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('rate_buckets', v_n);

    perform set_config('app.purging_audit_log', 'yes', true);
    delete from private.audit_log where id in (
        select id from private.audit_log where occurred_at < v_now - interval '7 years' limit v_batch
    );
    get diagnostics v_n = row_count;
    perform set_config('app.purging_audit_log', '', true);
    v_counts := v_counts || jsonb_build_object('audit_log', v_n);

    -- access stopped with the day; this makes the state say so
    update public.tutor_student_assignments set status = 'completed'
    where status in ('active', 'paused') and end_date < (v_now at time zone 'UTC')::date;
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('assignments_ended', v_n);

    -- a lecture that nobody was ever linked to; the last unlinking deletes by itself
    delete from public.lectures where id in (
        select l.id from public.lectures as l
        where l.created_at < v_now - interval '1 hour'
            and not exists (select from public.user_lectures as u where u.lecture_id = l.id)
        limit v_batch
        for update skip locked
    );
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('orphan_lectures', v_n);

    return v_counts || jsonb_build_object('stuck_rows', public.svc_sweep_generations());
end
$$;

comment on function public.svc_purge_expired() is
    'Deletes what is past its time (at most 5000 rows a table and call), ends assignments, sweeps orphans and '
    'stuck rows; returns the counts by name.';
