-- Tables, functions and views of the room 90_platform.
-- Touches: 90_platform. Undo: drop what it creates, newest first; nothing in it destroys data.

set lock_timeout = '5s';

-- Who did what to whose record. private.write_audit and the triggers that use it write lines; nobody changes them, and
-- only svc_purge_expired deletes them, after seven years. There are no foreign keys, because lines outlive accounts.
-- The log holds ids and states, never what a student wrote nor a secret.

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

-- for everything about a person, in order
create index idx_audit_log_subject on private.audit_log (subject_user_id, occurred_at);
create index idx_audit_log_entity on private.audit_log (entity, entity_id);
-- for the newest lines, and for retention
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
    raise exception 'the audit log cannot be changed' using errcode = '42501';
end
$$;

comment on function private.keep_audit_log() is
    'BEFORE UPDATE, DELETE or TRUNCATE on audit_log: refuses it (42501), except the purge of svc_purge_expired, which '
    'announces itself by a setting of its transaction.';

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
    perform private.require_admin();
    if p_limit is null then
        raise exception 'p_limit must not be null' using errcode = '22004';
    end if;
    if p_limit not between 1 and 1000 then
        raise exception 'p_limit must be between 1 and 1000' using errcode = '22003';
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

comment on function private.admin_list_audit(uuid, int) is 'Behind public.admin_list_audit().';

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

-- Outbox of files to delete: SQL can delete a row, not the file it names. private.enqueue_storage_deletion fills it in
-- the transaction that deletes the row. The job storage_cleanup empties it with the two functions below.

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

-- a file waits once, however many rows named it
create unique index uq_storage_deletions_storage_key on private.storage_deletions (storage_key) where done_at is null;
create index idx_storage_deletions_enqueued_at on private.storage_deletions (enqueued_at) where done_at is null;
-- for retention
create index idx_storage_deletions_done_at on private.storage_deletions (done_at) where done_at is not null;

comment on table private.storage_deletions is 'Files without a row, which wait to be deleted.';
comment on column private.storage_deletions.id is 'Identity of the row.';
comment on column private.storage_deletions.storage_key is 'bucket/object of the file.';
comment on column private.storage_deletions.reason is 'The table and statement that removed its row.';
comment on column private.storage_deletions.attempts is 'How often it was handed out for deletion.';
comment on column private.storage_deletions.last_error is 'The error of the last attempt.';
comment on column private.storage_deletions.enqueued_at is 'When the file lost its row.';
comment on column private.storage_deletions.next_attempt_at is 'Not handed out before; later with every attempt.';
comment on column private.storage_deletions.done_at is 'When the file was deleted.';

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
        raise exception 'p_limit must not be null' using errcode = '22004';
    end if;
    if p_limit < 1 then
        raise exception 'p_limit must be at least 1' using errcode = '22003';
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
        -- this time is lease and back-off at once: no other worker gets the file before, and any worker may afterwards
        next_attempt_at = private.clock() + make_interval(secs => least(3600, 30 * 2 ^ least(d.attempts, 10)))
    from due
    where d.id = due.id
    returning d.id, d.storage_key, d.reason, d.attempts;
end
$$;

comment on function public.svc_claim_storage_deletions(int) is
    'Files to delete now, oldest first, at most 500. Each is handed out again after 30 s, doubling up to an hour, '
    'until it is finished.';

create function public.svc_finish_storage_deletion(p_id bigint, p_error text default null)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if p_id is null then
        raise exception 'p_id must not be null' using errcode = '22004';
    end if;
    update private.storage_deletions set
        done_at = case when p_error is null then private.clock() end,
        last_error = left(p_error, 500)
    where id = p_id and done_at is null;
end
$$;

comment on function public.svc_finish_storage_deletion(bigint, text) is
    'Ends an attempt: without p_error the file is deleted, with one it is tried again later. A second call changes '
    'nothing.';

-- The buckets, all private: clients read files by signed URLs from a function, and no policy on storage.objects lets a
-- person in. The schema storage belongs to the platform; where it is missing (plain PostgreSQL) there is nothing to do.

do $$
begin
    if to_regclass('storage.buckets') is null then
        return;
    end if;
    insert into storage.buckets (id, name, public)
    select bucket, bucket, false
    from unnest(array[
        'documents', 'audio', 'transcripts', 'session-transcripts', 'content', 'socratic-audio', 'exports'
    ]) as bucket
    on conflict (id) do update set public = false;
end
$$;

-- Answers kept for a day, so that a client who missed one may ask again with the same key. Services call the two
-- functions below before and after a request.

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
    constraint idempotency_keys_user_id_fkey foreign key (user_id) references auth.users(id) on delete cascade,
    constraint idempotency_keys_route_check check (char_length(route) between 1 and 500),
    constraint idempotency_keys_key_check check (char_length(key) between 1 and 255),
    constraint idempotency_keys_request_hash_check check (char_length(request_hash) between 1 and 128),
    constraint idempotency_keys_status_check check (status between 100 and 599)
);

-- for retention
create index idx_idempotency_keys_expires_at on private.idempotency_keys (expires_at);

comment on table private.idempotency_keys is 'Requests with an Idempotency-Key, and their answers.';
comment on column private.idempotency_keys.user_id is 'Who asked.';
comment on column private.idempotency_keys.route is 'What was asked: method and path.';
comment on column private.idempotency_keys.key is 'The client''s key.';
comment on column private.idempotency_keys.request_hash is
    'Hash of the body; the same key with another body is refused.';
comment on column private.idempotency_keys.status is 'HTTP status of the answer; null while the first request runs.';
comment on column private.idempotency_keys.response is 'Body of the answer.';
comment on column private.idempotency_keys.started_at is 'When the request began.';
comment on column private.idempotency_keys.expires_at is 'When the key may be used for another request.';

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
        raise exception 'p_user_id, p_route, p_key and p_request_hash must not be null' using errcode = '22004';
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
    -- deleted meanwhile, expired, or abandoned by a request that never ended
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
    'Opens a request with an Idempotency-Key. outcome new: do it. replay: answer with status and response. in_flight: '
    'the first request still runs. mismatch: the key was used with another body. A key lives 24 hours; one that is in '
    'flight for 2 minutes counts as abandoned.';

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
        raise exception 'p_user_id, p_route and p_key must not be null' using errcode = '22004';
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
    'Stores the answer of an open request. Without p_status it deletes the request, so that it may be sent again. A '
    'stored answer does not change.';

-- Requests counted per bucket (a person or an address, and a route) and window of time. Only svc_take_rate counts;
-- svc_purge_expired deletes past windows.

create table private.rate_buckets (
    bucket text not null,
    window_start timestamptz not null,
    window_end timestamptz not null,
    count int not null,

    constraint rate_buckets_pkey primary key (bucket, window_start),
    constraint rate_buckets_bucket_check check (char_length(bucket) between 1 and 300)
);

-- for retention
create index idx_rate_buckets_window_end on private.rate_buckets (window_end);

comment on table private.rate_buckets is 'Counters of rate limits.';
comment on column private.rate_buckets.bucket is 'What is counted.';
comment on column private.rate_buckets.window_start is 'Start of the window.';
comment on column private.rate_buckets.window_end is 'End of the window.';
comment on column private.rate_buckets.count is 'Requests that were allowed.';

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
        raise exception 'p_bucket, p_limit and p_window_s must not be null' using errcode = '22004';
    end if;
    if p_limit < 0 or p_window_s not between 1 and 86400 then
        raise exception 'p_limit must be at least 0, and p_window_s between 1 and 86400' using errcode = '22003';
    end if;
    v_start := to_timestamp(floor(extract(epoch from v_now) / p_window_s) * p_window_s);
    v_end := v_start + make_interval(secs => p_window_s);
    if p_limit > 0 then
        -- one statement counts and compares, so that two parallel requests cannot both be the last one allowed
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
    'Counts a request of a bucket, of which p_limit are allowed in each window of p_window_s seconds. When it is not '
    'allowed, says in how many seconds to ask again.';

create type public.job_type as enum (
    'canvas_sync', 'canvas_courses_cache', 'headstart', 'chat_answer', 'content_generation', 'lecture_download',
    'lecture_transcription', 'lecture_ingest', 'document_ingest', 'code_review', 'week_notes', 'brand_package',
    'session_summary', 'nudge_dispatch', 'notification_dispatch', 'stats_refresh', 'catalog_sync', 'storage_cleanup',
    'account_deletion'
);
comment on type public.job_type is
    'What a job does; each type has one handler, registered by the service that owns it.';

create type public.job_status as enum ('queued', 'running', 'succeeded', 'failed', 'cancelled');
comment on type public.job_status is
    'queued: waits for a worker, also for its next attempt. running: a worker holds its lease. succeeded, failed, '
    'cancelled: over; retry_job takes failed back to queued.';

create type private.job_state as enum ('later', 'waiting', 'ready', 'running', 'over');
comment on type private.job_state is 'Where a job stands in the queue; see private.job_runtime.';

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

-- What workers need of a job and nobody else may see: its input, where it stands in the queue, who holds it until when.
--
--   later    not due yet                        -> waiting; ready, if it is the system's
--   waiting  due, but its owner has no free slot -> ready
--   ready    has a slot, waits for a worker      -> running; waiting, if a more urgent job takes its slot
--   running  leased to a worker                  -> over; later, waiting or ready for another attempt
--   over     ended; a failed one may be retried  -> waiting
--
-- Each state that is not over has a partial index, so a claim costs the same with a million finished jobs as with none.
-- A person's jobs share that person's slots (private.job_cap), which ready and running jobs occupy. So a person who
-- floods the queue puts no more than their slots in front of everybody else. The system's own jobs need no slot.

create table private.job_runtime (
    job_id uuid primary key,
    payload jsonb not null default '{}',
    type public.job_type not null,
    user_id uuid,
    provider text,
    state private.job_state not null default 'over',
    rank timestamptz,
    due_at timestamptz,
    lease_token uuid,
    claim_id uuid,
    locked_by text,
    locked_until timestamptz,
    error_detail text,

    constraint job_runtime_job_id_fkey foreign key (job_id) references public.jobs(id) on delete cascade,
    constraint job_runtime_payload_check check (jsonb_typeof(payload) = 'object'),
    constraint job_runtime_line_check check (state = 'over' or num_nulls(rank, due_at) = 0),
    constraint job_runtime_lease_check
        check (state <> 'running' or num_nulls(lease_token, claim_id, locked_by, locked_until) = 0),
    constraint job_runtime_waiting_check check (state <> 'waiting' or user_id is not null)
) with (
    -- as for jobs
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500
);

create index idx_job_runtime_later on private.job_runtime (due_at) where state = 'later';
create index idx_job_runtime_waiting on private.job_runtime (user_id, rank, job_id) where state = 'waiting';
create index idx_job_runtime_ready on private.job_runtime (rank, job_id) where state = 'ready';
create index idx_job_runtime_running on private.job_runtime (claim_id) where state = 'running';
-- the slots in use
create index idx_job_runtime_slots on private.job_runtime (user_id) where state in ('ready', 'running');

comment on table private.job_runtime is 'The workers'' side of a job.';
comment on column private.job_runtime.job_id is 'The job.';
comment on column private.job_runtime.payload is
    'Its input: ids, never text of students nor tokens. Emptied when the job has succeeded.';
comment on column private.job_runtime.type is 'The job''s type: workers claim by it.';
comment on column private.job_runtime.user_id is 'Its owner: slots are counted by person.';
comment on column private.job_runtime.provider is 'The outside system whose limit it shares.';
comment on column private.job_runtime.state is 'Where it stands in the queue.';
comment on column private.job_runtime.rank is
    'Claims go by it, earliest first: when the job was due, less five minutes for each step of priority. As all jobs '
    'age alike, this fixed moment is priority with ageing: a step of priority is worth five minutes of waiting.';
comment on column private.job_runtime.due_at is 'Not before this moment.';
comment on column private.job_runtime.lease_token is
    'Proves who may write after the claim; new for each attempt. It stays after the end, to confirm a completion said '
    'twice.';
comment on column private.job_runtime.claim_id is
    'The claim that took it last, so that a lost answer can be asked for again.';
comment on column private.job_runtime.locked_by is 'The worker that holds it.';
comment on column private.job_runtime.locked_until is 'Until when, unless a heartbeat moves it.';
comment on column private.job_runtime.error_detail is 'For operators: what went wrong last.';

-- How many slots a person has, where it is not the usual number of private.job_cap().

create table private.job_caps (
    user_id uuid primary key,
    slots int not null,

    constraint job_caps_user_id_fkey foreign key (user_id) references public.profiles(user_id) on delete cascade,
    constraint job_caps_slots_check check (slots between 1 and 1000)
);

comment on table private.job_caps is 'How many slots a person has, where it is not the usual number.';
comment on column private.job_caps.user_id is 'The person.';
comment on column private.job_caps.slots is 'How many of their jobs may be ready or running at once.';

-- How jobs get into the line and how a person's slots are given to them.
--
-- Lock order of the whole queue: rows of jobs, their rows of job_runtime, then owners' slots, then providers' buckets,
-- each sorted. Whoever takes rows out of this order skips what is locked, so that nothing waits in a circle.

create function private.job_cap(p_user_id uuid)
returns int
language sql
stable
set search_path = ''
as $$
    select coalesce((select slots from private.job_caps where user_id = p_user_id), 4);
$$;

comment on function private.job_cap(uuid) is 'How many jobs of a person may be ready or running at once.';

create function private.fill_slots(p_owners uuid[])
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_owner uuid;
    v_best timestamptz;
begin
    perform pg_advisory_xact_lock(hashtextextended(owner::text, 90))
    from (select distinct o as owner from unnest(p_owners) as o where o is not null order by o) as owners;
    for v_owner in select distinct o from unnest(p_owners) as o where o is not null loop
        select rank into v_best from private.job_runtime
        where user_id = v_owner and state = 'waiting' order by rank, job_id limit 1;
        continue when v_best is null;
        -- a ready job that ranks after a waiting one competes for its slot again
        update private.job_runtime set state = 'waiting' where job_id = any (array(
            select job_id from private.job_runtime
            where user_id = v_owner and state = 'ready' and rank > v_best
            for no key update skip locked
        ));
        for i in 1 .. private.job_cap(v_owner) - (
            select count(*) from private.job_runtime where user_id = v_owner and state in ('ready', 'running')
        ) loop
            update private.job_runtime set state = 'ready' where job_id = (
                select job_id from private.job_runtime
                where user_id = v_owner and state = 'waiting'
                order by rank, job_id limit 1
                for no key update skip locked
            );
            exit when not found;
        end loop;
    end loop;
end
$$;

comment on function private.fill_slots(uuid[]) is
    'Locks these owners'' slots in id order and gives the free ones to their waiting jobs, best rank first. Call it '
    'once per transaction, with all owners, after every row lock: a second call could wait for somebody who waits for '
    'the first.';

create function private.line_up(p_job_ids uuid[])
returns uuid[]
language sql
volatile
security definer
set search_path = ''
as $$
    with lined_up as (
        update private.job_runtime as r
        set rank = j.scheduled_at - make_interval(mins => 5 * j.priority),
            due_at = j.scheduled_at,
            state = case
                when j.scheduled_at > private.clock() then 'later' when j.user_id is null then 'ready' else 'waiting'
            end::private.job_state
        from public.jobs as j
        where j.id = any (p_job_ids) and r.job_id = j.id and j.status = 'queued'
        returning r.user_id
    )
    select array_agg(distinct user_id) from lined_up;
$$;

comment on function private.line_up(uuid[]) is
    'Puts those of these jobs that are queued into the line. Returns their owners; give them to private.fill_slots.';

-- How work is asked for.

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
as $$
#variable_conflict use_column
declare
    v_id uuid;
begin
    if p_type is null or p_payload is null then
        raise exception 'p_type and p_payload must not be null' using errcode = '22004';
    end if;
    if p_type <> all (enum_range(null::public.job_type)::text[]) then
        raise exception 'p_type must be one of the job types' using errcode = '22023';
    end if;
    if p_dedupe_mode is distinct from 'join' and p_dedupe_mode is distinct from 'queued' then
        raise exception 'p_dedupe_mode must be join or queued' using errcode = '22023';
    end if;
    if p_priority not between -1000 and 1000 then
        raise exception 'p_priority must be between -1000 and 1000' using errcode = '22003';
    end if;
    perform private.check_time('p_scheduled_at', p_scheduled_at);
    -- the job that has the key may end, or begin, between our insert and our look: then look again
    for i in 1 .. 10 loop
        if p_dedupe_mode = 'queued' then
            -- a running job may have read its input before the change this one stands for: it gives its key up.
            -- Its owner comes first, as when a person is deleted
            perform from public.profiles where user_id = p_user_id for key share;
            update public.jobs set dedupe_key = null where dedupe_key = p_dedupe_key and status = 'running';
        end if;
        insert into public.jobs (
            type, user_id, week_id, dedupe_key, priority, scheduled_at, max_retries, timeout_s, provider
        )
        values (
            p_type::public.job_type, p_user_id, p_week_id, p_dedupe_key, coalesce(p_priority, 0),
            coalesce(p_scheduled_at, private.clock()), coalesce(p_max_retries, 3), coalesce(p_timeout_s, 600),
            p_provider
        )
        on conflict (dedupe_key) where status in ('queued', 'running') do nothing
        returning id into v_id;
        if found then
            insert into private.job_runtime (job_id, payload, type, user_id, provider)
            values (v_id, p_payload, p_type::public.job_type, p_user_id, p_provider);
            perform private.fill_slots(private.line_up(array[v_id]));
            return query select v_id, true;
            return;
        end if;
        if p_dedupe_mode = 'join' then
            select id into v_id from public.jobs where dedupe_key = p_dedupe_key and status in ('queued', 'running');
        else
            -- held until our change is committed, so that no worker begins it before
            select id into v_id from public.jobs where dedupe_key = p_dedupe_key and status = 'queued' for share;
        end if;
        if found then
            return query select v_id, false;
            return;
        end if;
    end loop;
    raise exception 'p_dedupe_key is taken and freed too fast; try again' using errcode = '40001';
end
$$;

comment on function public.svc_enqueue_job(text, jsonb, uuid, uuid, text, text, int, timestamptz, int, int, text) is
    'Asks for work. A live job with the same p_dedupe_key is returned instead (created false). Mode queued joins only '
    'one that still waits: a running one gives its key up, so that a change made meanwhile is not lost. Enqueue for '
    'several people in one transaction in the order of their ids (private.fill_slots).';

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
comment on column private.provider_buckets.tokens is
    'Tokens at refilled_at; below zero when some were handed out ahead.';
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
    for v_bucket in
        select * from private.provider_buckets as b
        where b.provider in (select w.provider from private.job_runtime as w where w.job_id = any (p_job_ids))
        order by b.provider
        for update
    loop
        -- a bucket hands out what it holds, and what comes back within a second
        v_tokens := private.bucket_tokens(v_bucket);
        select jsonb_object_agg(
            c.job_id,
            case
                when v_bucket.paused_until > private.clock() or c.nth > v_tokens + v_bucket.refill_per_s
                    then '"refused"'
                else to_jsonb(greatest(0, ceil((c.nth - v_tokens) / v_bucket.refill_per_s * 1000))::int)
            end
        )
        into v_waits
        from (
            select w.job_id, row_number() over (order by w.rank, w.job_id) as nth
            from private.job_runtime as w where w.job_id = any (p_job_ids) and w.provider = v_bucket.provider
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
    'Takes a token for each job from its provider''s bucket: by job, the milliseconds to wait before the work, or '
    '"refused".';

create function public.svc_pause_provider(p_provider text, p_seconds numeric)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if p_provider is null or p_seconds is null then
        raise exception 'p_provider and p_seconds must not be null' using errcode = '22004';
    end if;
    if p_seconds in ('NaN', 'infinity', '-infinity') then
        raise exception 'p_seconds must be a finite number' using errcode = '22023';
    end if;
    if p_seconds not between 0 and 86400 * 30 then
        raise exception 'p_seconds must be between 0 and 2592000 (30 days)' using errcode = '22003';
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

-- How workers take jobs and keep them. Reached over REST: each call is one transaction and its answer may be lost, so a
-- claim may be asked for again under its id.

create function public.svc_claim_jobs(
    p_worker text, p_types text[], p_limit int, p_lease_s int default 60, p_claim_id uuid default null
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
as $$
#variable_conflict use_column
declare
    v_claim constant uuid := coalesce(p_claim_id, gen_random_uuid());
    v_limit constant int := least(greatest(coalesce(p_limit, 1), 1), 100);
    v_is_tidy boolean := false;
    v_ids uuid[];
    v_waits jsonb := '{}';
begin
    if p_worker is null or p_types is null then
        raise exception 'p_worker and p_types must not be null' using errcode = '22004';
    end if;
    -- the first asking for this claim may still be under way
    perform pg_advisory_xact_lock(hashtextextended(v_claim::text, 91));
    if not exists (select from private.job_runtime where claim_id = v_claim and state = 'running') then
        loop
            v_ids := array(
                select r.job_id from private.job_runtime as r
                join public.jobs as j on j.id = r.job_id and j.status = 'queued'
                where r.state = 'ready' and r.type::text = any (p_types)
                    and (r.provider is null or r.provider <> all (array(
                        select b.provider from private.provider_buckets as b
                        where b.paused_until > private.clock() or private.bucket_tokens(b) + b.refill_per_s < 1
                    )))
                order by r.rank, r.job_id
                limit v_limit
                for no key update of j, r skip locked
            );
            exit when cardinality(v_ids) = v_limit or v_is_tidy;
            -- little to do: time to look for what was left lying
            perform private.tidy_jobs(20, false);
            v_is_tidy := true;
        end loop;
        if exists (select from private.job_runtime where job_id = any (v_ids) and provider is not null) then
            v_waits := private.take_tokens(v_ids);
            v_ids := array(select id from unnest(v_ids) as id where v_waits ->> id::text is distinct from 'refused');
        end if;
        update public.jobs
        set status = 'running', started_at = private.clock(), error_code = null, error_message = null
        where id = any (v_ids);
        update private.job_runtime
        set state = 'running', lease_token = gen_random_uuid(), claim_id = v_claim, locked_by = left(p_worker, 200),
            locked_until = private.clock() + make_interval(secs => least(greatest(coalesce(p_lease_s, 60), 1), 3600))
        where job_id = any (v_ids);
    end if;
    return query
    select r.job_id, r.type::text, r.user_id, j.week_id, r.payload, j.retry_count, j.max_retries, j.timeout_s,
        r.lease_token,
            r.locked_until, coalesce((v_waits ->> r.job_id::text)::int, 0)
    from private.job_runtime as r join public.jobs as j on j.id = r.job_id
    where r.claim_id = v_claim and r.state = 'running'
    order by r.rank, r.job_id;
end
$$;

comment on function public.svc_claim_jobs(text, text[], int, int, uuid) is
    'Hands out up to p_limit (1 to 100) ready jobs of these types, each leased for p_lease_s seconds. The same claim '
    'id gives the same rows again, while they run. provider_wait_ms: begin the work no sooner.';

create function private.held_jobs(p_jobs jsonb)
returns uuid[]
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if p_jobs is null then
        raise exception 'p_jobs must not be null' using errcode = '22004';
    end if;
    if jsonb_typeof(p_jobs) <> 'array' then
        raise exception 'p_jobs must be an array of objects' using errcode = '22023';
    end if;
    if exists (select from jsonb_array_elements(p_jobs) as e where jsonb_typeof(e) <> 'object') then
        raise exception 'p_jobs must be an array of objects' using errcode = '22023';
    end if;
    return array(
        select j.id
        from jsonb_to_recordset(p_jobs) as s (job_id uuid, lease_token uuid)
        join public.jobs as j on j.id = s.job_id and j.status = 'running'
        join private.job_runtime as r on r.job_id = j.id and r.lease_token = s.lease_token and r.state = 'running'
        order by j.id
        for no key update of j, r
    );
end
$$;

comment on function private.held_jobs(jsonb) is
    'Those of [{job_id, lease_token}] that still run under that lease, both rows locked in id order. 22023 for '
    'another shape.';

create function public.svc_heartbeat_jobs(p_jobs jsonb, p_lease_s int default 60)
returns table (job_id uuid, state text)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_held constant uuid[] := private.held_jobs(p_jobs);
begin
    update private.job_runtime
    set locked_until = private.clock() + make_interval(secs => least(greatest(coalesce(p_lease_s, 60), 1), 3600))
    where job_id = any (v_held);
    update public.jobs as j set progress = s.progress
    from jsonb_to_recordset(p_jobs) as s (job_id uuid, lease_token uuid, progress jsonb)
    join private.job_runtime as r on r.job_id = s.job_id and r.lease_token = s.lease_token
    where j.id = any (v_held) and j.id = s.job_id and jsonb_typeof(s.progress) = 'object'
        and j.progress is distinct from s.progress;
    return query
    select s.job_id, case
        when j.id is null then 'gone'
        when s.job_id <> all (v_held) or r.lease_token is distinct from s.lease_token then 'lost'
        when j.cancel_requested then 'cancel'
        else 'held'
    end
    from jsonb_to_recordset(p_jobs) as s (job_id uuid, lease_token uuid)
    left join public.jobs as j on j.id = s.job_id
    left join private.job_runtime as r on r.job_id = s.job_id;
end
$$;

comment on function public.svc_heartbeat_jobs(jsonb, int) is
    'Keeps leases and shows progress. Per job: held; cancel, the owner asked for an end; lost, another worker has it '
    'or it is over; gone, deleted with its owner or week.';

-- How attempts end. Each call may be said twice, because its answer may be lost: the lease decides what it still
-- changes.

create function public.svc_complete_jobs(p_jobs jsonb)
returns table (job_id uuid, done boolean)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_held constant uuid[] := private.held_jobs(p_jobs);
begin
    update public.jobs as j
    set status = 'succeeded', completed_at = private.clock(), result = nullif(s.result, 'null')
    from jsonb_to_recordset(p_jobs) as s (job_id uuid, lease_token uuid, result jsonb)
    join private.job_runtime as r on r.job_id = s.job_id and r.lease_token = s.lease_token
    where j.id = any (v_held) and j.id = s.job_id;
    update private.job_runtime set state = 'over', payload = '{}' where job_id = any (v_held);
    perform private.fill_slots(array(select user_id from private.job_runtime where job_id = any (v_held)));
    return query
    select s.job_id, coalesce(j.status = 'succeeded', false)
    from jsonb_to_recordset(p_jobs) as s (job_id uuid, lease_token uuid)
    left join private.job_runtime as r on r.job_id = s.job_id and r.lease_token = s.lease_token
    left join public.jobs as j on j.id = r.job_id;
end
$$;

comment on function public.svc_complete_jobs(jsonb) is
    'Ends jobs in success, with their results. done false: the lease was lost and nothing was changed. Saying it '
    'again under the same lease changes nothing and is answered with done true.';

create function private.end_attempt(
    p_job_id uuid, p_error_code text, p_error_message text, p_error_detail text, p_retryable boolean, p_wait_s numeric
)
returns public.jobs
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_job public.jobs;
begin
    update public.jobs as j
    set status = s.status,
        scheduled_at = case when s.status = 'queued' and p_wait_s > 0
            then private.clock() + make_interval(secs => p_wait_s::float8) else j.scheduled_at end,
        retry_count = j.retry_count + (s.status = 'queued')::int,
        progress = case when s.status = 'queued' then '{}' else j.progress end,
        error_code = left(coalesce(p_error_code, 'internal'), 200),
        error_message = left(p_error_message, 500),
        completed_at = case when s.status <> 'queued' then private.clock() end
    from (
        select case
            when cancel_requested then 'cancelled'
            when p_retryable and retry_count < max_retries then 'queued'
            else 'failed'
        end::public.job_status as status
        from public.jobs where id = p_job_id
    ) as s
    where j.id = p_job_id
    returning j.* into v_job;
    update private.job_runtime set state = 'over', error_detail = left(p_error_detail, 4000) where job_id = p_job_id;
    perform private.line_up(array[p_job_id]);
    return v_job;
end
$$;

comment on function private.end_attempt(uuid, text, text, text, boolean, numeric) is
    'Ends an attempt without success: queued again after p_wait_s seconds, failed when no attempt is left, cancelled '
    'when asked for. The caller holds both rows and fills the owner''s slots afterwards.';

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
as $$
#variable_conflict use_column
declare
    v_job public.jobs;
    v_wait numeric;
begin
    if p_job_id is null or p_lease_token is null then
        raise exception 'p_job_id and p_lease_token must not be null' using errcode = '22004';
    end if;
    if private.held_jobs(
        jsonb_build_array(jsonb_build_object('job_id', p_job_id, 'lease_token', p_lease_token))
    ) = '{}' then
        return;
    end if;
    -- half fixed, half random, so that what failed together does not come back together
    select least(3600, 30 * 2 ^ least(retry_count, 10)) into v_wait from public.jobs where id = p_job_id;
    v_wait := greatest(v_wait / 2 + v_wait / 2 * private.jitter()::numeric, least(coalesce(p_retry_after_s, 0), 86400));
    v_job := private.end_attempt(
        p_job_id, p_error_code, p_error_message, p_error_detail, coalesce(p_retryable, true), v_wait
    );
    perform private.fill_slots(array[v_job.user_id]);
    return query select v_job.status::text, v_job.scheduled_at;
end
$$;

comment on function public.svc_fail_job(uuid, uuid, text, text, boolean, int, text) is
    'Ends an attempt in failure: queued again (at scheduled_at) or over. No row when the lease was lost; then nothing '
    'is changed.';

create function public.svc_release_jobs(p_jobs jsonb)
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_held constant uuid[] := private.held_jobs(p_jobs);
begin
    update public.jobs
    set status = case when cancel_requested then 'cancelled' else 'queued' end::public.job_status,
        completed_at = case when cancel_requested then private.clock() end,
        progress = '{}'
    where id = any (v_held);
    update private.job_runtime set state = 'over' where job_id = any (v_held);
    perform private.line_up(v_held);
    perform private.fill_slots(array(select user_id from private.job_runtime where job_id = any (v_held)));
    return cardinality(v_held);
end
$$;

comment on function public.svc_release_jobs(jsonb) is
    'Gives jobs back as they were, the attempt not counted: for a worker that stops in good order. Returns how many.';

-- What keeps the line moving: leases that ran out, jobs whose moment has come, slots that were left over. Workers call
-- svc_reap_expired_jobs every few seconds; claims that find too few ready jobs do a little of it.

create function private.tidy_jobs(p_limit int, p_all_owners boolean)
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_job record;
    v_owners uuid[] := '{}';
    v_count int := 0;
begin
    for v_job in
        select j.id, j.user_id from private.job_runtime as r
        join public.jobs as j on j.id = r.job_id and j.status = 'running'
        where r.state = 'running' and r.locked_until < private.clock()
        limit p_limit
        for no key update of j, r skip locked
    loop
        -- no back-off: most likely the worker died, and not by this job
        perform private.end_attempt(
            v_job.id, 'lease_expired', 'The work was interrupted and is tried again.', 'the lease ran out', true, 0
        );
        v_owners := v_owners || v_job.user_id;
        v_count := v_count + 1;
    end loop;
    with due as (
        update private.job_runtime
        set state = case when user_id is null then 'ready' else 'waiting' end::private.job_state
        where job_id = any (array(
            select job_id from private.job_runtime
            where state = 'later' and due_at <= private.clock()
            order by due_at
            limit p_limit
            for no key update skip locked
        ))
        returning user_id
    )
    select v_owners || array_agg(user_id) into v_owners from due;
    if p_all_owners then
        -- whose waiting job was passed by while somebody held its row
        v_owners := v_owners || array(
            select w.user_id
            from (select distinct user_id from private.job_runtime where state = 'waiting') as w
            where private.job_cap(w.user_id) > (
                select count(*) from private.job_runtime as r
                where r.user_id = w.user_id and r.state in ('ready', 'running')
            )
            limit p_limit
        );
    end if;
    perform private.fill_slots(v_owners);
    return v_count;
end
$$;

comment on function private.tidy_jobs(int, boolean) is
    'Ends attempts whose lease ran out as failures that are tried again at once, lets due jobs into the line and '
    'fills slots; at most p_limit of each. Returns how many leases had run out.';

create function public.svc_reap_expired_jobs(p_limit int default 100)
returns int
language sql
volatile
security definer
set search_path = ''
as $$
    select private.tidy_jobs(least(greatest(coalesce(p_limit, 100), 1), 1000), true);
$$;

comment on function public.svc_reap_expired_jobs(int) is
    'Ends attempts whose lease ran out and lets due jobs in. Returns how many leases had run out.';

create function public.svc_count_waiting_jobs()
returns table (type text, waiting bigint, oldest_s int)
language sql
stable
security definer
set search_path = ''
as $$
    select r.type::text, count(*), greatest(0, extract(epoch from private.clock() - min(r.due_at)))::int
    from private.job_runtime as r
    -- spelt out, so that each state's index can be used
    where r.state = 'later' or r.state = 'waiting' or r.state = 'ready'
    group by r.type
    order by 1;
$$;

comment on function public.svc_count_waiting_jobs() is
    'How many jobs of each type wait, and for how many seconds the first of them has been due; 0 when none is due '
    'yet. Types without waiting jobs have no row.';

-- Jobs go with their person or week. The cascades of such a deletion would lock jobs in an order of their own, while a
-- completion locks its jobs in the order of their ids: each could wait for the other. So a deletion locks them first.

create function private.lock_jobs_of_owner()
returns trigger
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    -- all of the owner's, also for one week: the same statement may delete others
    perform from public.jobs where user_id = old.user_id order by id for update;
    return old;
end
$$;

comment on function private.lock_jobs_of_owner() is
    'BEFORE DELETE of a profile or week: locks its owner''s jobs in the order in which completions lock them. The '
    'profile is locked already, so no job is added to it meanwhile.';

create trigger trg_profiles_jobs before delete on public.profiles
for each row execute function private.lock_jobs_of_owner();

create trigger trg_weeks_jobs before delete on public.weeks
for each row execute function private.lock_jobs_of_owner();

create function private.refill_slots()
returns trigger
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    perform private.fill_slots(array(select user_id from gone where status in ('queued', 'running')));
    return null;
end
$$;

comment on function private.refill_slots() is 'AFTER DELETE on jobs: the slots of live jobs are free again.';

create trigger trg_jobs_slots after delete on public.jobs referencing old table as gone
for each statement execute function private.refill_slots();

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
comment on column private.job_schedules.cron is
    'Minute, hour, day of month, month, day of week (0 and 7 are Sunday); * , - and / work.';
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
            raise exception 'cron: "%" is not a field of a cron line', p_field using errcode = '22023';
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
            raise exception 'cron: "%" is not a field of a cron line', p_field using errcode = '22023';
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
    v_shifts interval[] := '{0}';
    v_found timestamptz;
begin
    if cardinality(v_fields) <> 5 then
        raise exception 'cron: "%" must have five fields', p_cron using errcode = '22023';
    end if;
    v_minutes := private.cron_field(v_fields[1], 0, 59);
    v_hours := private.cron_field(v_fields[2], 0, 23);
    v_days := private.cron_field(v_fields[3], 1, 31);
    v_months := private.cron_field(v_fields[4], 1, 12);
    v_weekdays := array(select w % 7 from unnest(private.cron_field(v_fields[5], 0, 7)) as w);
    -- When the clocks are set back, a stretch of local time comes twice; Postgres means its second turn. A fixed time
    -- is due once. An interval ("every 15 minutes"; as cron has it, minute or hour begins with *) also runs through the
    -- first turn.
    if v_fields[1] like '*%' or v_fields[2] like '*%' then
        v_shifts := '{0, 30 minutes, 1 hour, 2 hours}';
    end if;
    for i in 0 .. 366 * 8 loop
        -- as cron has it: when both days are given, either will do
        v_on_day := extract(day from v_day)::int = any (v_days);
        v_on_weekday := extract(dow from v_day)::int = any (v_weekdays);
        if v_fields[3] <> '*' and v_fields[5] <> '*' then
            v_on_day := v_on_day or v_on_weekday;
            v_on_weekday := true;
        end if;
        if extract(month from v_day)::int = any (v_months) and v_on_day and v_on_weekday then
            select min(turn) into v_found
            from unnest(v_hours) as h, unnest(v_minutes) as m, unnest(v_shifts) as shift,
                lateral (select v_day + make_interval(hours => h, mins => m) as local) as clock,
                lateral (select local at time zone p_tz - shift as turn) as moment
            where turn > p_after and (shift = '0' or turn at time zone p_tz = local);
            if v_found is not null then
                return v_found;
            end if;
        end if;
        v_day := v_day + 1;
    end loop;
    raise exception 'cron: "%" is never due', p_cron using errcode = '22023';
end
$$;

comment on function private.cron_next(text, text, timestamptz) is
    'The first moment after p_after that a cron line names in a time zone. 22023 for a line that is none or never due.';

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

-- What the owner of a job may ask for, and what operators may do in anybody's name.

create function private.own_job(p_id uuid)
returns uuid
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_me constant uuid := private.require_caller();
begin
    if p_id is null then
        raise exception 'p_id must not be null' using errcode = '22004';
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
    select * into v_job from public.jobs where id = p_job_id for no key update;
    if v_job.status = 'queued' then
        update public.jobs
        set status = 'cancelled', cancel_requested = true, completed_at = private.clock()
        where id = p_job_id returning * into v_job;
        update private.job_runtime set state = 'over' where job_id = p_job_id;
        perform private.fill_slots(array[v_job.user_id]);
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

create function private.requeue_job(p_job_id uuid)
returns public.jobs
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_job public.jobs;
begin
    select * into v_job from public.jobs where id = p_job_id for no key update;
    if v_job.status is distinct from 'failed' then
        raise exception 'only a failed job can be tried again' using errcode = 'PT409';
    end if;
    begin
        update public.jobs
        set status = 'queued', retry_count = 0, cancel_requested = false, error_code = null, error_message = null,
            progress = '{}', scheduled_at = private.clock(), completed_at = null
        where id = p_job_id returning * into v_job;
    exception when unique_violation then
        raise exception 'the same work is under way' using errcode = 'PT409';
    end;
    perform private.fill_slots(private.line_up(array[p_job_id]));
    return v_job;
end
$$;

comment on function private.requeue_job(uuid) is
    'Queues a failed job from the start. PT409 in any other state, or while a live job has its key.';

create function private.retry_job(p_id uuid)
returns public.jobs
language sql
volatile
security definer
set search_path = ''
as $$
    select private.requeue_job(private.own_job(p_id));
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

-- The agents of the product, as people see them. Staff write it. Prompts and model settings are in agent_configs, for
-- staff alone.

create type public.agent_type as enum (
    'clo', 'engineer', 'socratic', 'brand', 'headstart', 'assistant', 'tutor_companion'
);
comment on type public.agent_type is
    'What an agent is for: clo (learning objectives), engineer (code), socratic (dialogues), brand (brand packages), '
    'headstart, assistant (of teachers), tutor_companion.';

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
comment on column public.agents.is_active is 'Whether it is in use.';
comment on column public.agents.version is 'Version of this agent.';
comment on column public.agents.created_at is 'When the row was written.';
comment on column public.agents.updated_at is 'When the row last changed; kept by trigger.';

create trigger trg_agents_columns before update on public.agents
for each row execute function private.keep_columns('type', 'name', 'description', 'is_active', 'version');
create trigger trg_agents_updated_at before update on public.agents
for each row execute function public.set_updated_at();

-- Prompts and model settings of an agent. Staff only: whoever can read a prompt finds ways around it.

create table public.agent_configs (
    agent_id uuid primary key,
    config jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint agent_configs_agent_id_fkey foreign key (agent_id) references public.agents(id) on delete cascade,
    constraint agent_configs_config_check check (jsonb_typeof(config) = 'object')
);

comment on table public.agent_configs is 'Settings of agents.';
comment on column public.agent_configs.agent_id is 'The agent.';
comment on column public.agent_configs.config is 'Prompts and model settings.';
comment on column public.agent_configs.created_at is 'When the row was written.';
comment on column public.agent_configs.updated_at is 'When the row last changed; kept by trigger.';

create trigger trg_agent_configs_columns before update on public.agent_configs
for each row execute function private.keep_columns('config');
create trigger trg_agent_configs_updated_at before update on public.agent_configs
for each row execute function public.set_updated_at();

-- Which agent worked on what: a Socratic session, a job or a week, exactly one of them. The service writes it.

create table public.agent_assignments (
    id uuid primary key default gen_random_uuid(),
    agent_id uuid not null,
    socratic_session_id uuid,
    job_id uuid,
    week_id uuid,
    assigned_at timestamptz not null default now(),
    completed_at timestamptz,

    constraint agent_assignments_agent_id_fkey foreign key (agent_id) references public.agents(id) on delete cascade,
    constraint agent_assignments_socratic_session_id_fkey
        foreign key (socratic_session_id) references public.socratic_sessions(id) on delete cascade,
    constraint agent_assignments_job_id_fkey foreign key (job_id) references public.jobs(id) on delete cascade,
    constraint agent_assignments_week_id_fkey foreign key (week_id) references public.weeks(id) on delete cascade,
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
comment on column public.agent_assignments.socratic_session_id is 'The dialogue, if the work was on one.';
comment on column public.agent_assignments.job_id is 'The job, if the work was on one.';
comment on column public.agent_assignments.week_id is 'The week, if the work was on one.';
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
    v_me constant uuid := private.caller_id();
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

-- What the product forgets, and what it tidies: svc_purge_expired, called by workers every few hours and safe to call
-- at any time. Each room keeps its own rules. Education records (goals, sessions, summaries, ratings, practice,
-- questions, overrides) stay until the account goes.

create function private.live_job_keys(p_types text[], p_key text)
returns text[]
language sql
stable
security definer
set search_path = ''
as $$
    select coalesce(array_agg(r.payload ->> p_key), '{}')
    from private.job_runtime as r
    -- spelt out, so that each state's index can be used
    where (r.state = 'later' or r.state = 'waiting' or r.state = 'ready' or r.state = 'running')
        and r.type::text = any (p_types) and r.payload ->> p_key is not null;
$$;

comment on function private.live_job_keys(text[], text) is
    'What live jobs of these types have under this key of their payload: the ids of the rows they work on.';

create function private.fail_stuck(
    p_table regclass, p_working_status text, p_message text, p_types text[], p_key text
)
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_ids uuid[];
begin
    execute format(
        $q$
        select array_agg(stuck.id) from (
            select t.id from %1$s as t
            where t.status in ('pending', %2$L) and t.id::text <> all ((select private.live_job_keys($1, %3$L))::text[])
                and (t.updated_at < $2 or exists (
                    select from public.jobs as j
                    join private.job_runtime as r on r.job_id = j.id
                    where j.status in ('failed', 'cancelled') and j.type::text = any ($1)
                        and j.completed_at >= t.updated_at and j.created_at >= t.created_at
                        and r.payload ->> %3$L = t.id::text
                ))
            for update of t skip locked
        ) as stuck
        $q$,
        p_table, p_working_status, p_key
    )
    into v_ids
    using p_types, private.clock() - interval '1 hour';
    -- these state machines reach failed only from the state in which the work runs
    execute format(
        'update %s set status = %L where id = any ($1) and status = %L', p_table, p_working_status, 'pending'
    )
    using v_ids;
    execute format('update %s set status = %L, error_message = %L where id = any ($1)', p_table, 'failed', p_message)
    using v_ids;
    return coalesce(cardinality(v_ids), 0);
end
$$;

comment on function private.fail_stuck(regclass, text, text, text[], text) is
    'Fails rows of a table that are pending or in work although no live job of these types names them under p_key: '
    'because their job ended badly since they last changed, or nothing happened for an hour. Returns how many.';

create function private.fail_stuck_rows()
returns int
language sql
volatile
security definer
set search_path = ''
as $$
    select private.fail_stuck(
        'public.lectures', 'downloading', 'The work on this lecture stopped before it was done.',
        '{lecture_download, lecture_transcription, lecture_ingest}', 'lecture_id'
    ) + private.fail_stuck(
        'public.reviews', 'running', 'The review stopped before it was done.', '{code_review}', 'review_id'
    ) + private.fail_stuck(
        'public.content_sources', 'processing', 'The material could not be read in time.',
        '{content_generation, document_ingest}', 'content_source_id'
    );
$$;

comment on function private.fail_stuck_rows() is 'Fails lectures, reviews and content sources that no job will finish.';

create function private.purge_jobs()
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_now constant timestamptz := private.clock();
    v_count int;
begin
    -- whoever holds one may be trying it again
    delete from public.jobs where id = any (array(
        select id from public.jobs
        where completed_at < v_now - interval '30 days'
            and (
                status in ('succeeded', 'cancelled')
                or (status = 'failed' and completed_at < v_now - interval '90 days')
            )
        order by created_at
        limit 5000
        for update skip locked
    ));
    get diagnostics v_count = row_count;
    return v_count;
end
$$;

comment on function private.purge_jobs() is
    'Forgets jobs 30 days after success or cancellation, 90 after failure; at most 5000 a call.';

create function private.purge_platform()
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_counts jsonb;
begin
    perform set_config('app.purging_audit_log', 'yes', true);
    v_counts := jsonb_build_object(
        'jobs', private.purge_jobs(),
        'storage_deletions', private.purge('private.storage_deletions', 'done_at', '30 days'),
        'idempotency_keys', private.purge('private.idempotency_keys', 'expires_at', '0'),
        'rate_buckets', private.purge('private.rate_buckets', 'window_end', '0'),
        'audit_log', private.purge('private.audit_log', 'occurred_at', '7 years')
    );
    perform set_config('app.purging_audit_log', '', true);
    return v_counts;
end
$$;

comment on function private.purge_platform() is 'Deletes what this room no longer keeps; how many rows went, by name.';

create function public.svc_purge_expired()
returns jsonb
language sql
volatile
security definer
set search_path = ''
as $$
    select private.purge_canvas() || private.purge_headstart() || private.purge_planner() || private.purge_lectures()
        || private.purge_assistant() || private.purge_tutoring() || private.purge_billing() || private.purge_platform()
        || jsonb_build_object('stuck_rows', public.svc_sweep_generations());
$$;

comment on function public.svc_purge_expired() is
    'Deletes what is past its time (at most 5000 rows a table and call), ends assignments, sweeps orphans and stuck '
    'rows. Each room keeps its own rules in private.purge_<room>. Returns the counts by name.';

-- The planner estimates a row count from statistics over everybody's rows. `Prefer: count=planned` with a filter on
-- another person's id would therefore tell how many rows that person has. Two parts refuse such counts to everybody but
-- the service: hooks.before_request gives the answer, and private.not_explained is the lock. The lock is needed because
-- PostgREST obeys the first of several Prefer lines and shows a function only the last.

create schema hooks;

comment on schema hooks is
    'Functions that PostgREST calls by itself, as the caller. Not exposed to clients; API roles only have usage.';

create function hooks.before_request()
returns void
language plpgsql
stable
set search_path = ''
as $$
begin
    if current_user <> 'service_role'
        and current_setting('request.headers', true)::json ->> 'prefer' ~* '\ycount\s*=\s*"?(planned|estimated)\y' then
        raise exception 'estimated row counts are refused: they depend on rows of others'
            using errcode = '42501', hint = 'Send Prefer: count=exact, or ask for no count.';
    end if;
end
$$;

comment on function hooks.before_request() is
    'PostgREST calls it first in every request. 42501 for Prefer: count=planned or count=estimated, except from the '
    'service.';

create function private.not_explained()
returns boolean
language plpgsql
-- not true of the body, and needed: the planner then calls it while it plans, and EXPLAIN only plans. Elsewhere the
-- condition is true before the query runs and costs nothing.
immutable
set search_path = ''
as $$
begin
    if session_user = 'authenticator' and current_query() ~* '^\s*explain' then
        raise exception 'estimated row counts are refused: they depend on rows of others'
            using errcode = '42501', hint = 'Send Prefer: count=exact, or ask for no count.';
    end if;
    return true;
end
$$;

comment on function private.not_explained() is
    'Condition of a policy on every table that clients read: 42501 when a REST session explains a query, else true.';
