-- Tables, functions and views of the room 90_platform.
-- Touches: 90_platform. Undo: drop what it creates, newest first; nothing in it destroys data.

set lock_timeout = '5s';

-- Who did what to whose record. private.write_audit and the triggers that use it write lines; nobody changes them, and only
-- svc_purge_expired deletes them, after seven years. There are no foreign keys, because lines outlive accounts. The log
-- holds ids and states, never what a student wrote nor a secret.

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

-- Outbox of files to delete: SQL can delete a row, not the file it names. private.enqueue_storage_deletion fills it in the
-- transaction that deletes the row. The job storage_cleanup empties it with the two functions below.

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
        raise exception 'p_id must not be null' using errcode = '22004';
    end if;
    update private.storage_deletions set
        done_at = case when p_error is null then private.clock() end,
        last_error = left(p_error, 500)
    where id = p_id and done_at is null;
end
$$;

comment on function public.svc_finish_storage_deletion(bigint, text) is
    'Ends an attempt: without p_error the file is deleted, with one it is tried again later. A second call changes nothing.';

-- Answers kept for a day, so that a client who missed one may ask again with the same key. Services call the two functions
-- below before and after a request.

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
    'Opens a request with an Idempotency-Key. outcome new: do it. replay: answer with status and response. in_flight: the '
    'first request still runs. mismatch: the key was used with another body. A key lives 24 hours; one that is in flight for '
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
    'Stores the answer of an open request. Without p_status it deletes the request, so that it may be sent again. A stored '
    'answer does not change.';

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
comment on type public.job_type is 'What a job does; each type has one handler, registered by the service that owns it.';

create domain private.job_state as text
constraint job_state_check check (value in ('later', 'waiting', 'admitted', 'over'));
comment on domain private.job_state is
    'Where a job stands in the queue. later: not due. waiting: due, but its owner has no free place. admitted: has a place, '
    'waits for a worker or runs. over: ended without '
    'success.';

create domain private.job_payload as jsonb constraint job_payload_check check (jsonb_typeof(value) = 'object');
comment on domain private.job_payload is 'The input of a job: an object. A domain, so that it is looked at when written alone.';

create type public.job_status as enum ('queued', 'running', 'succeeded', 'failed', 'cancelled');
comment on type public.job_status is
    'queued: waits (also for its next try). running: a worker holds the lease. succeeded, failed, cancelled: over; '
    'failed goes back to queued by retry_job.';

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

-- The keys of live jobs: at most one queued or running job has a key. A table of its own and not a partial unique index on
-- jobs.status, because that index would have to be written each time any job changes its state. Written by triggers of
-- public.jobs and, ahead of them, by svc_enqueue_job.

create table private.job_keys (
    dedupe_key text primary key,
    job_id uuid not null,

    -- deferred: a key is taken before its job is written
    constraint job_keys_job_id_fkey foreign key (job_id) references public.jobs (id) on delete cascade
    deferrable initially deferred,
    constraint job_keys_job_id_key unique (job_id)
);

comment on table private.job_keys is 'Which live job has a key.';
comment on column private.job_keys.dedupe_key is 'The key.';
comment on column private.job_keys.job_id is 'The queued or running job that has it.';

create function private.take_job_key()
returns trigger
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if not exists (select from private.job_keys where dedupe_key = new.dedupe_key and job_id = new.id) then
        insert into private.job_keys (dedupe_key, job_id) values (new.dedupe_key, new.id);
    end if;
    return null;
end
$$;

comment on function private.take_job_key() is
    'AFTER INSERT of a job with a key: it has it (23505 when another has). Later changes are private.change_job()''s.';

create trigger trg_jobs_key_taken after insert on public.jobs
for each row when (new.dedupe_key is not null) execute function private.take_job_key();

-- What workers need of a job and nobody else may see: its input, where it stands in the queue, who holds it until when.
--
--   later      not due yet (scheduled, or waiting for its next try)
--   waiting    due, but its owner has no free place
--   admitted   has a place: waits for a worker, or runs (then it has a lease_token and locked_until)
--   over       ended without success; its owner may try a failed one again
--
-- A job that succeeded has no row any more: a row that goes is written once, one that stays twice and into an index.
--
-- A person has as many places as private.job_cap() says, and his running jobs keep theirs. So the cap is strict, and a
-- person who floods the queue puts no more than his places in front of everybody else.
--
-- Each state has its own small index, so a claim costs the same with a million finished jobs as with none. None of them
-- names a column of the lease: claims and heartbeats write no index (HOT updates). A job that runs therefore stays in the
-- index of admitted ones; claims pass it by beginning at private.job_front.

create table private.job_runtime (
    job_id uuid primary key,
    payload private.job_payload not null default '{}',
    lease_token uuid,
    claim_id uuid,
    locked_by text,
    locked_until timestamptz,
    error_detail text,
    type public.job_type not null,
    user_id uuid,
    provider text,
    rank timestamptz not null,
    due_at timestamptz not null,
    state private.job_state not null,

    constraint job_runtime_job_id_fkey foreign key (job_id) references public.jobs (id) on delete cascade
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);

create index idx_job_runtime_admitted on private.job_runtime (rank, job_id) where state = 'admitted';
create index idx_job_runtime_waiting on private.job_runtime (user_id, rank, job_id) where state = 'waiting';
create index idx_job_runtime_places on private.job_runtime (user_id) where state = 'admitted';
create index idx_job_runtime_later on private.job_runtime (due_at) where state = 'later';

comment on table private.job_runtime is 'The workers'' side of a job.';
comment on column private.job_runtime.job_id is 'The job.';
comment on column private.job_runtime.payload is 'Its input: ids, never text of students nor tokens.';
comment on column private.job_runtime.lease_token is
    'Fences every write after the claim; new for each claim. It begins with the moment the try began (16 hex digits of '
    'microseconds since 1970), so that jobs.started_at tells by which lease a job succeeded.';
comment on column private.job_runtime.claim_id is
    'The claim that took it last, so that a lost answer can be asked for again.';
comment on column private.job_runtime.locked_by is 'The worker that holds it.';
comment on column private.job_runtime.locked_until is 'Until when, unless a heartbeat moves it.';
comment on column private.job_runtime.error_detail is 'For operators: what went wrong last.';
comment on column private.job_runtime.type is 'The job''s type: workers claim by it.';
comment on column private.job_runtime.user_id is 'Its owner: places are counted by person.';
comment on column private.job_runtime.provider is 'The outside system whose limit it shares.';
comment on column private.job_runtime.rank is
    'Claims go by it, earliest first: when it was due, less five minutes for each step of priority. As all jobs age alike, '
    'this fixed moment is priority with ageing: a step of priority is worth five minutes of waiting.';
comment on column private.job_runtime.due_at is 'Not before this moment.';
comment on column private.job_runtime.state is 'later, waiting, admitted or over.';

-- One row for each claim some of whose jobs run: by it a claim that is asked for again finds its jobs, and reaping finds
-- what runs. Rows of claims that are over go with the next sweep; read whole, it is small.
create table private.job_claims (
    id uuid primary key,
    job_ids uuid[] not null
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);

comment on table private.job_claims is 'What was handed out together.';
comment on column private.job_claims.id is 'The claim''s id, chosen by the worker.';
comment on column private.job_claims.job_ids is 'Its jobs.';

-- Claims begin to look at this rank (microseconds since 1970), not at the start: while an old snapshot is open, the index
-- entries of jobs long taken cannot go, and passing them again for each claim would cost more each second. A hint: moved
-- on by claims, back by whoever admits a job before it, found anew from the start once a second. Sequences, because they
-- are changed in place, whatever snapshot is open.
create sequence private.job_front minvalue 0 start 0;
comment on sequence private.job_front is 'Where claims begin to look: a rank in microseconds since 1970.';

create sequence private.job_look minvalue 0 start 0;
comment on sequence private.job_look is
    'From when on (milliseconds since 1970) looking for the front from the start is no waste of time.';

create function private.delete_runtime()
returns trigger
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    -- all of the person's in the order of exchanges, also when one of several weeks goes
    perform from private.job_runtime as r
    where r.job_id = any (array(select id from public.jobs where user_id = old.user_id))
    order by r.job_id
    for update;
    if tg_table_name = 'weeks' then
        delete from private.job_runtime where job_id in (select id from public.jobs where week_id = old.id);
    else
        delete from private.job_runtime where job_id in (select id from public.jobs where user_id = old.user_id);
    end if;
    return old;
end
$$;

comment on function private.delete_runtime() is
    'BEFORE DELETE of a person or week: takes the rows of their jobs here before the jobs, in the order in which claims and '
    'completions lock them. So a person who goes while his work ends waits for it, and nobody waits in a circle.';

create trigger trg_profiles_jobs before delete on public.profiles
for each row execute function private.delete_runtime();

create trigger trg_weeks_jobs before delete on public.weeks
for each row execute function private.delete_runtime();

-- How many jobs of a person may run at once, where it is not the usual number of private.job_cap().

create table private.job_caps (
    user_id uuid primary key,
    places int not null,

    constraint job_caps_user_id_fkey foreign key (user_id) references public.profiles (user_id) on delete cascade,
    constraint job_caps_places_check check (places between 1 and 1000)
);

comment on table private.job_caps is 'How many jobs of a person may run at once, where it is not the usual number.';
comment on column private.job_caps.user_id is 'The person.';
comment on column private.job_caps.places is 'His places.';

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
-- several times what they do. A test holds that no generic plan reads a table whole. Claims and completions also look away
-- from sequential scans: a plan made while a table is empty is kept while it grows.
--
-- Lock order, everywhere: first the job's row in job_runtime; whoever has it may lock the job's row in jobs and, sorted by id,
-- its owner's places (an advisory lock). Whoever takes them in another order passes by what is locked (skip locked, or
-- private.try_places); so nothing waits in a circle.

create function private.job_cap(p_user_id uuid)
returns int
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    return coalesce((select places from private.job_caps where user_id = p_user_id), 4);
end
$$;

comment on function private.job_cap(uuid) is 'How many jobs of a person may run at once.';

create function private.job_rank(p_scheduled_at timestamptz, p_priority int)
returns timestamptz
language plpgsql
immutable
set search_path = ''
as $$
begin
    return p_scheduled_at - make_interval(mins => 5 * p_priority);
end
$$;

comment on function private.job_rank(timestamptz, int) is 'Where a job stands in the queue; see private.job_runtime.rank.';

create function private.set_front(p_rank timestamptz)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    perform setval(
        'private.job_front', greatest(0, extract(epoch from greatest(p_rank, timestamptz 'epoch')) * 1000000)::bigint
    );
end
$$;

comment on function private.set_front(timestamptz) is 'Lets claims begin to look at this rank.';

create function private.first_state(p_scheduled_at timestamptz, p_user_id uuid)
returns private.job_state
language plpgsql
stable
set search_path = ''
as $$
begin
    return case
        when p_scheduled_at > private.clock() then 'later'
        when p_user_id is null then 'admitted'
        else 'waiting'
    end::private.job_state;
end
$$;

comment on function private.first_state(timestamptz, uuid) is
    'Where a queued job begins to wait: only the system''s own need no place.';

create function private.front()
returns timestamptz
language plpgsql
volatile
set search_path = ''
as $$
begin
    -- asked as a function, not as a row: that needs no query. Not set before the first look
    return coalesce(
        timestamptz 'epoch' + nullif(pg_sequence_last_value('private.job_front'), 0) * interval '1 microsecond', '-infinity'
    );
end
$$;

comment on function private.front() is 'The rank at which claims begin to look.';

create function private.lower_front(p_rank timestamptz)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    -- should a claim move it on before this is committed, the next look from the start finds what was missed
    if p_rank < private.front() then
        perform private.set_front(p_rank);
    end if;
end
$$;

comment on function private.lower_front(timestamptz) is 'Tells claims that a job was admitted before the place where they begin to look.';

create function private.next_front(p_idle boolean)
returns timestamptz
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_now constant timestamptz := clock_timestamp();
    v_look constant timestamptz := timestamptz 'epoch'
        + coalesce(pg_sequence_last_value('private.job_look'), 0) * interval '1 millisecond';
    v_from timestamptz := '-infinity';
    v_rank timestamptz;
    v_took interval;
begin
    if v_now < v_look + (not p_idle)::int * interval '1 second' then
        v_from := private.front();
        if p_idle then
            return v_from;
        end if;
    end if;
    select r.rank into v_rank from private.job_runtime as r
    where r.state = 'admitted' and r.rank >= v_from and r.lease_token is null
    order by r.rank, r.job_id
    limit 1;
    if v_from = '-infinity' then
        v_took := clock_timestamp() - v_now;
        -- looking takes two hundredths of the time at most, however long the way from the start has become
        if v_took < interval '2 milliseconds' then
            v_took := interval '0';
        end if;
        perform setval('private.job_look', (extract(epoch from clock_timestamp() + 50 * v_took) * 1000)::bigint);
    end if;
    if v_rank is null then
        return '-infinity';
    end if;
    perform private.set_front(v_rank);
    return v_rank;
end
$$;

comment on function private.next_front(boolean) is
    'Moves the front on to the first job to claim, and says where that is. Once a second, or when there is little to do, it '
    'looks for it from the start.';

create function private.try_places(p_owner uuid)
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
begin
    return p_owner is null or pg_try_advisory_xact_lock(hashtextextended(p_owner::text, 90));
end
$$;

comment on function private.try_places(uuid) is
    'Locks a person''s places unless somebody else has them; the system''s work needs none.';

create function private.lock_places(p_owners uuid[])
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
    perform pg_advisory_xact_lock(hashtextextended(owner::text, 90))
    from (select distinct o as owner from unnest(p_owners) as o where o is not null order by o) as owners;
end
$$;

comment on function private.lock_places(uuid[]) is 'Locks the places of these people, sorted; all that a transaction needs at once.';

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
    perform private.lock_places(p_owners);
    for v_owner in
        select o.owner from (select distinct o as owner from unnest(p_owners) as o) as o
        -- asked for in the index's order, or one person with very many would make reading the table look cheap
        where (
            select true from private.job_runtime as r where r.user_id = o.owner and r.state = 'waiting'
            order by r.rank, r.job_id limit 1
        )
    loop
        v_free := private.job_cap(v_owner)
            - (select count(*) from private.job_runtime where user_id = v_owner and state = 'admitted');
        if v_free > 0 then
            with admitted as (
                update private.job_runtime set state = 'admitted'
                where job_id = any (array(
                    select job_id from private.job_runtime
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
        select job_id, rank into v_best from private.job_runtime
        where user_id = v_owner and state = 'waiting' order by rank, job_id limit 1 for update skip locked;
        select job_id, rank into v_worst from private.job_runtime
        where user_id = v_owner and state = 'admitted' and lease_token is null
        order by rank desc limit 1 for update skip locked;
        if v_best.rank < v_worst.rank then
            update private.job_runtime
            set state = case when job_id = v_best.job_id then 'admitted' else 'waiting' end::private.job_state
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
        update private.job_runtime as w
        set state = case when w.user_id is null then 'admitted' else 'waiting' end::private.job_state
        where w.job_id = any (array(
            select job_id from private.job_runtime
            -- an exchange holds places already: it waits for no others, these jobs come in next time
            where state = 'later' and due_at <= private.clock() and private.try_places(user_id)
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

create function private.admit_forgotten_jobs(p_limit int)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    perform private.admit_jobs(array(
        -- from one owner to the next by the index, however many jobs each has; the first thousands are enough at a time
        with recursive owners as (
            (select r.user_id, 1 as nth from private.job_runtime as r where r.state = 'waiting' order by r.user_id limit 1)
            union all
            select n.user_id, o.nth + 1
            from owners as o
            cross join lateral (
                select r.user_id from private.job_runtime as r
                where r.state = 'waiting' and r.user_id > o.user_id
                order by r.user_id
                limit 1
            ) as n
            where o.nth < 5 * p_limit
        )
        select o.user_id from owners as o
        where (select count(*) from private.job_runtime as r where r.user_id = o.user_id and r.state = 'admitted')
            < private.job_cap(o.user_id)
            and private.try_places(o.user_id)
        limit p_limit
    ));
end
$$;

comment on function private.admit_forgotten_jobs(int) is
    'Gives free places away that were left over: a job is passed by while somebody has its row, and he may change his mind.';

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
        update private.job_runtime as r
        set rank = private.job_rank(j.scheduled_at, j.priority), due_at = j.scheduled_at,
            state = private.first_state(j.scheduled_at, j.user_id)
        from public.jobs as j
        where j.id = any (p_job_ids) and r.job_id = j.id
        returning r.user_id, r.rank, r.state
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
    'Puts queued jobs back into the line and gives their owners'' free places away.';

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
    v_id constant uuid := private.job_id();
    v_at constant timestamptz := coalesce(p_scheduled_at, private.clock());
    v_rank constant timestamptz := private.job_rank(v_at, coalesce(p_priority, 0));
    v_other uuid;
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
        exit when p_dedupe_key is null;
        if p_dedupe_mode = 'queued' then
            -- one that runs may have read its input before the change we stand for: it gives the key up
            -- (locked as everywhere: its owner before it goes, the workers' row, the job)
            perform from public.profiles where user_id = p_user_id for key share;
            perform from private.job_keys as k
            join private.job_runtime as r on r.job_id = k.job_id
            where k.dedupe_key = p_dedupe_key and r.state = 'admitted'
            for update of r;
            update public.jobs set dedupe_key = null where dedupe_key = p_dedupe_key and status = 'running';
        end if;
        insert into private.job_keys (dedupe_key, job_id) values (p_dedupe_key, v_id) on conflict (dedupe_key) do nothing;
        exit when found;
        select j.id into v_other from public.jobs as j
        where j.dedupe_key = p_dedupe_key and (j.status = 'queued' or j.status = 'running' and p_dedupe_mode = 'join');
        if v_other is not null then
            return query select v_other, false;
            return;
        end if;
        if i = 10 then
            raise exception 'the key % is taken and freed too fast', p_dedupe_key using errcode = '40001';
        end if;
    end loop;
    insert into public.jobs (
        id, type, user_id, week_id, dedupe_key, priority, scheduled_at, max_retries, timeout_s, provider
    )
    values (
        v_id, p_type::public.job_type, p_user_id, p_week_id, p_dedupe_key, coalesce(p_priority, 0), v_at,
        coalesce(p_max_retries, 3), coalesce(p_timeout_s, 600), p_provider
    );
    insert into private.job_runtime (job_id, payload, type, user_id, provider, rank, due_at, state)
    values (
        v_id, p_payload, p_type::public.job_type, p_user_id, p_provider, v_rank, v_at,
        private.first_state(v_at, p_user_id)
    );
    if p_user_id is null then
        perform private.lower_front(v_rank);
    else
        perform private.admit_jobs(array[p_user_id]);
    end if;
    return query select v_id, true;
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
    set lease_token = null, locked_until = null, locked_by = null, error_detail = left(p_error_detail, 4000),
        state = case when v_job.status = 'queued' then state else 'over'::private.job_state end
    where job_id = p_job_id;
    update public.jobs
    set status = v_job.status,
        scheduled_at = v_job.scheduled_at,
        retry_count = retry_count + (v_job.status = 'queued')::int,
        error_code = left(coalesce(p_error_code, 'internal'), 200),
        error_message = left(p_error_message, 500),
        completed_at = case when v_job.status <> 'queued' then v_now end
    where id = p_job_id
    returning * into v_job;
    return v_job;
end
$$;

comment on function private.end_try(uuid, text, text, text, boolean, numeric) is
    'Ends a try without success: queued again (after p_wait_s seconds; 0: in its old place), failed when no try is left, '
    'cancelled when asked for. Putting it back into the line and the owner''s places are the caller''s business.';

create function private.forget_claims(p_limit int)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    -- counted, not joined: a join might read all jobs there ever were
    delete from private.job_claims where id = any (array(
        select c.id from private.job_claims as c
        where (
            select count(*) from private.job_runtime as r
            where r.job_id = any (c.job_ids) and r.claim_id = c.id and r.lease_token is not null and r.state = 'admitted'
        ) = 0
        limit p_limit
        for update skip locked
    ));
end
$$;

comment on function private.forget_claims(int) is 'Forgets claims none of whose jobs runs any more.';

create function private.reap_jobs(p_limit int)
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_now constant timestamptz := private.clock();
    v_claimed constant uuid[] := array(select unnest(c.job_ids) from private.job_claims as c);
    v_job record;
    v_ended public.jobs;
    v_count int := 0;
    v_owners uuid[] := '{}';
    v_again uuid[] := '{}';
begin
    for v_job in
        select j.id
        from private.job_runtime as r
        join public.jobs as j on j.id = r.job_id
        where r.job_id = any (v_claimed) and r.state = 'admitted' and r.locked_until < v_now and j.status = 'running'
            and private.try_places(r.user_id)
        limit p_limit
        for update of r, j skip locked
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
    -- changed by hand, so that nobody ends the try: what is queued waits again, the others are over
    for v_job in
        select j.id, j.user_id, j.status
        from private.job_runtime as r
        join public.jobs as j on j.id = r.job_id
        where r.job_id = any (v_claimed) and r.state = 'admitted' and r.locked_until < v_now and j.status <> 'running'
            and private.try_places(r.user_id)
        limit p_limit
        for update of r, j skip locked
    loop
        update private.job_runtime
        set lease_token = null, locked_until = null, locked_by = null,
            state = case when v_job.status = 'queued' then state else 'over' end
        where job_id = v_job.id;
        if v_job.status = 'queued' then
            v_again := v_again || v_job.id;
        end if;
        v_owners := v_owners || v_job.user_id;
    end loop;
    perform private.queue_jobs(v_again);
    perform private.admit_jobs(v_owners);
    return v_count;
end
$$;

comment on function private.reap_jobs(int) is 'Ends tries whose lease ran out, as failures that may be tried again at once.';

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
        where b.provider in (select w.provider from private.job_runtime as w where w.job_id = any (p_job_ids))
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
    'Takes a token for each job from its provider''s bucket: by job, the milliseconds to wait before the work, or "refused".';

create function public.svc_exchange_jobs(
    p_done jsonb,
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
    provider_wait_ms int,
    lost boolean
)
language plpgsql
volatile
security definer
set search_path = ''
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
-- what is read whole all the same (small tables) looks so dear by this that it would be compiled
set jit = 'off'
as $$
#variable_conflict use_column
-- Each expression of PL/pgSQL is made ready anew in each transaction, and each call of another function sets the search path
-- twice: here both cost as much as the statements. So there are few of them, and the rare ways lie together.
declare
    v_now constant timestamptz := case
        when nullif(current_setting('app.frozen_now', true), '') is null then now() else private.clock()
    end;
    v_claim constant uuid := coalesce(p_claim_id, gen_random_uuid());
    v_limit int := least(greatest(coalesce(p_limit, 1), 0), 100);
    -- what is handed in
    v_done uuid[];
    v_results jsonb[];
    v_missing int;
    v_owners uuid[];
    v_owner uuid;
    v_waiting boolean;
    -- what is handed out
    v_from timestamptz := coalesce(
        timestamptz 'epoch' + nullif(pg_sequence_last_value('private.job_front'), 0) * interval '1 microsecond', '-infinity'
    );
    v_taken uuid[];
    v_payloads jsonb[];
    v_special boolean;
    v_again uuid[];
    v_due boolean;
    v_waits jsonb;
    v_began timestamptz;
    v_token uuid;
    v_count int;
    v_admitted boolean;
    v_noted boolean;
    v_idle boolean;
begin
    if v_limit > 0 and (p_worker is null or p_types is null) then
        raise exception 'a claim names its worker and its types' using errcode = '22004';
    end if;
    if p_done is null or p_done = '[]' then
        -- a claim alone waits for no disk: should a power cut forget it, its jobs wait again, as after a lease that ran out
        perform set_config('synchronous_commit', 'off', true);
    else
        -- whoever waited here for a reaper or another claim sees its new token
        select
            array_agg(h.job_id), array_agg(h.result), array_agg(distinct h.user_id),
            jsonb_array_length(p_done) - count(*)
        into v_done, v_results, v_owners, v_missing
        from (
            select s.job_id, s.result, r.user_id
            from jsonb_to_recordset(p_done) as s (job_id uuid, lease_token uuid, result jsonb)
            join private.job_runtime as r on r.job_id = s.job_id
            join public.jobs as j on j.id = s.job_id
            where r.lease_token = s.lease_token and r.state = 'admitted' and j.status = 'running'
            order by s.job_id
            for no key update of r
        ) as h;
        if v_done is not null then
            -- who finds their owners' places taken has looked before us and is seen below, or waits and sees what we free
            foreach v_owner in array v_owners loop
                if v_owner is not null and not pg_try_advisory_xact_lock(hashtextextended(v_owner::text, 90)) then
                    perform pg_advisory_xact_lock(hashtextextended(v_owner::text, 90));
                end if;
            end loop;
        end if;
        if v_limit = 0 then
            v_waiting := exists (
                select from private.job_runtime as r where r.user_id = any (v_owners) and r.state = 'waiting'
            );
        end if;
    end if;
    -- the first asking for this claim may still be under way
    if v_limit > 0 and not pg_try_advisory_xact_lock(hashtextextended(v_claim::text, 91)) then
        perform pg_advisory_xact_lock(hashtextextended(v_claim::text, 91));
    end if;
    -- the more each claim takes, the more the next ones pass in vain
    if random() * 20 < v_limit
        or extract(epoch from clock_timestamp()) * 1000 > coalesce(pg_sequence_last_value('private.job_look'), 0) + 1000
    then
        v_from := private.next_front(false);
    end if;
    loop
        if v_limit > 0 then
            select
                array_agg(w.job_id), array_agg(w.payload), bool_or(w.special),
                (select c.job_ids from private.job_claims as c where c.id = p_claim_id),
                (
                    select true from private.job_runtime as l where l.state = 'later' and l.due_at <= v_now
                    order by l.due_at limit 1
                ),
                exists (select from private.job_runtime as o where o.user_id = any (v_owners) and o.state = 'waiting')
            into v_taken, v_payloads, v_special, v_again, v_due, v_waiting
            from (
                select r.job_id, r.payload::jsonb as payload, r.provider is not null or r.claim_id is not null as special
                from private.job_runtime as r
                where r.state = 'admitted'
                    and r.rank >= v_from
                    and r.lease_token is null
                    and r.type::text = any (p_types)
                    -- buckets are locked once, all together
                    and (r.provider is null or v_waits is null and r.provider <> all (array(
                        select b.provider from private.provider_buckets as b
                        where b.paused_until > v_now or private.bucket_tokens(b) + b.refill_per_s < 1
                    )))
                order by r.rank, r.job_id
                limit v_limit
                for no key update skip locked
            ) as w;
        end if;
        if v_special or v_due or v_again is not null then
            if v_again is not null and v_noted is not true then
                return query
                select j.id, j.type::text, j.user_id, j.week_id, r.payload::jsonb, j.retry_count, j.max_retries, j.timeout_s,
                       r.lease_token, r.locked_until, 0, false
                from private.job_runtime as r
                join public.jobs as j on j.id = r.job_id
                where r.job_id = any (v_again) and r.claim_id = p_claim_id and j.status = 'running'
                order by r.rank, j.id;
                if found then
                    v_limit := 0;
                    v_taken := null;
                    v_due := false;
                else
                    delete from private.job_claims as c where c.id = p_claim_id;
                end if;
            end if;
            if v_due and v_admitted is null then
                perform private.admit_due_jobs(100);
                v_admitted := true;
                v_from := '-infinity';
                continue;
            end if;
            if v_special and v_taken is not null then
                v_waits := private.take_tokens(v_taken);
                -- no two tries of a job begin at one moment, whatever the clock says: their tokens differ by it
                select
                    array_agg(t.id order by t.n), array_agg(t.payload order by t.n),
                    greatest(v_now, max(j.started_at) + interval '1 microsecond')
                into v_taken, v_payloads, v_began
                from unnest(v_taken, v_payloads) with ordinality as t (id, payload, n)
                join public.jobs as j on j.id = t.id
                where v_waits ->> t.id::text is distinct from 'refused';
            end if;
        end if;
        if v_taken is not null or v_done is not null then
            -- the moment in microseconds, and the second half of the claim's id
            v_token := (
                lpad(to_hex((extract(epoch from coalesce(v_began, v_now)) * 1000000)::bigint), 16, '0')
                || right(v_claim::text, 17)
            )::uuid;
            return query
            with moved as (
                update public.jobs as j
                set status = case j.status when 'queued' then 'running' else 'succeeded' end::public.job_status,
                    started_at = case j.status when 'queued' then coalesce(v_began, v_now) else j.started_at end,
                    completed_at = case j.status when 'running' then v_now end,
                    result = case j.status when 'running' then nullif(v_results[array_position(v_done, j.id)], 'null') end,
                    updated_at = now()
                where j.id = any (v_done || v_taken)
                    and j.status = case when j.id = any (v_taken) then 'queued' else 'running' end::public.job_status
                returning j.id, j.type, j.user_id, j.week_id, j.retry_count, j.max_retries, j.timeout_s, j.status
            ),
            ended as (
                delete from private.job_runtime where job_id = any (v_done)
            ),
            leased as (
                update private.job_runtime
                set lease_token = v_token, claim_id = v_claim, locked_by = left(p_worker, 200),
                    locked_until = v_now + make_interval(secs => least(greatest(coalesce(p_lease_s, 60), 1), 3600))
                where job_id = any (v_taken)
                returning locked_until
            ),
            noted as (
                insert into private.job_claims (id, job_ids)
                select v_claim, v_taken where v_taken is not null and v_noted is not true
            )
            select m.id, m.type::text, m.user_id, m.week_id, v_payloads[array_position(v_taken, m.id)], m.retry_count,
                   m.max_retries, m.timeout_s, v_token, (select l.locked_until from leased as l limit 1),
                   coalesce((v_waits ->> m.id::text)::int, 0), false
            from moved as m
            where m.status = 'running'
            order by array_position(v_taken, m.id);
            get diagnostics v_count = row_count;
            v_limit := v_limit - v_count;
            if v_noted then
                update private.job_claims as c set job_ids = c.job_ids || v_taken where c.id = v_claim;
            end if;
        end if;
        if v_waiting then
            perform private.admit_jobs(v_owners);
        end if;
        exit when v_limit = 0 or v_idle;
        -- little to do: time to look for what was left lying
        v_idle := true;
        v_noted := v_taken is not null;
        v_done := null;
        v_owners := null;
        perform private.forget_claims(100);
        perform private.reap_jobs(20);
        v_from := private.next_front(true);
    end loop;
    if v_missing > 0 then
        -- a completion whose answer was lost is confirmed the second time: its token begins with the moment the job does
        return query
        select s.job_id, null::text, null::uuid, null::uuid, null::jsonb, null::int, null::int, null::int, s.lease_token,
               null::timestamptz, null::int, true
        from jsonb_to_recordset(p_done) as s (job_id uuid, lease_token uuid)
        where not exists (
            select from public.jobs as j
            where j.id = s.job_id and j.status = 'succeeded'
                and replace(left(s.lease_token::text, 18), '-', '')
                    = lpad(to_hex((extract(epoch from j.started_at) * 1000000)::bigint), 16, '0')
        );
    end if;
end
$$;

comment on function public.svc_exchange_jobs(jsonb, text, text[], int, int, uuid) is
    'Ends jobs in success as svc_complete_jobs does and hands out others (0 to 100) as svc_claim_jobs does, in one transaction. '
    'lost: a completion that came too late, by its lease_token; nothing was changed for it. Completions that count have no row.';

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
as $$
begin
    return query
    select e.job_id, e.type, e.user_id, e.week_id, e.payload, e.retry_count, e.max_retries, e.timeout_s, e.lease_token,
           e.locked_until, e.provider_wait_ms
    from public.svc_exchange_jobs(
        '[]', p_worker, p_types, greatest(coalesce(p_limit, 1), 1), p_lease_s, p_claim_id
    ) as e;
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
        for no key update of r, j
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
as $$
begin
    if p_jobs is null then
        raise exception 'which jobs' using errcode = '22004';
    end if;
    return query
    with late as (
        select e.job_id, e.lease_token from public.svc_exchange_jobs(p_jobs, null, null, 0) as e
    )
    select s.job_id, not exists (
        select from late as l
        where l.job_id is not distinct from s.job_id and l.lease_token is not distinct from s.lease_token
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
    for update of r, j;
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
        select j.id, j.cancel_requested
        from jsonb_to_recordset(p_jobs) as s (job_id uuid, lease_token uuid)
        join private.job_runtime as r on r.job_id = s.job_id and r.lease_token = s.lease_token
        join public.jobs as j on j.id = s.job_id and j.status = 'running'
        order by j.id
        for update of r, j
    ),
    freed as (
        update private.job_runtime as r
        set lease_token = null, locked_until = null, locked_by = null,
            state = case when h.cancel_requested then 'over' else r.state end
        from held as h where r.job_id = h.id
    ),
    ended as (
        update public.jobs as j
        set status = case when h.cancel_requested then 'cancelled' else 'queued' end::public.job_status,
            completed_at = case when h.cancel_requested then private.clock() end
        from held as h where j.id = h.id
        returning j.id, j.user_id, j.status
    )
    select array_agg(id) filter (where status = 'queued'), array_agg(user_id), count(*)
    into v_again, v_owners, v_count
    from ended;
    perform private.lock_places(v_owners);
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
    perform private.admit_forgotten_jobs(1000);
    perform private.forget_claims(20000);
    return v_count;
end
$$;

comment on function public.svc_reap_expired_jobs(int) is
    'Ends tries whose lease ran out and lets due jobs in. Returns how many leases had run out.';

create function public.svc_count_waiting_jobs()
returns table (waiting bigint, oldest timestamptz)
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    -- by state, for each has an index of its own
    return query
    select sum(s.jobs)::bigint, min(s.due) from (
        select count(*) as jobs, min(r.due_at) as due from private.job_runtime as r where r.state = 'later'
        union all
        select count(*), min(r.due_at) from private.job_runtime as r where r.state = 'waiting'
        union all
        select count(*), min(r.due_at) from private.job_runtime as r where r.state = 'admitted' and r.lease_token is null
    ) as s;
end
$$;

comment on function public.svc_count_waiting_jobs() is 'How many jobs wait, and when the first of them was due.';

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
    v_me constant uuid := private.require_caller();
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
    perform from private.job_runtime where job_id = p_job_id for update;
    select * into v_job from public.jobs where id = p_job_id for update;
    if v_job.status = 'queued' then
        update public.jobs
        set status = 'cancelled', cancel_requested = true, completed_at = private.clock()
        where id = p_job_id returning * into v_job;
        update private.job_runtime set state = 'over' where job_id = p_job_id;
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
    perform private.own_job(p_id);
    perform from private.job_runtime where job_id = p_id for update;
    select * into v_job from public.jobs where id = p_id for update;
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
    v_old constant uuid[] := array(
        select id from public.jobs
        where completed_at < v_now - interval '30 days'
            and (status in ('succeeded', 'cancelled') or (status = 'failed' and completed_at < v_now - interval '90 days'))
        order by created_at
        limit 5000
    );
    v_ours uuid[];
    v_count int;
begin
    -- the workers' rows first, as everywhere; who has one at this moment may be trying the job again
    v_ours := array(select job_id from private.job_runtime where job_id = any (v_old) for update skip locked);
    delete from public.jobs where id = any (array(
        select j.id from public.jobs as j
        where j.id = any (v_old) and j.completed_at < v_now - interval '30 days'
            and (j.id = any (v_ours) or not exists (select from private.job_runtime as r where r.job_id = j.id))
        for update skip locked
    ));
    get diagnostics v_count = row_count;
    return jsonb_build_object('jobs', v_count);
end
$$;

comment on function private.purge_jobs() is
    'Forgets jobs 30 days after success or cancellation, 90 after failure; at most 5000 a call.';

-- The agents of the product, as people see them. Staff write it. Prompts and model settings are in agent_configs, for staff
-- alone.

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
comment on column public.agents.is_active is 'Whether it is in use.';
comment on column public.agents.version is 'Version of this agent.';
comment on column public.agents.created_at is 'When the row was written.';
comment on column public.agents.updated_at is 'When the row last changed; kept by trigger.';

create trigger trg_agents_updated_at before update on public.agents
    for each row execute function public.set_updated_at();

-- Prompts and model settings of an agent. Staff only: whoever can read a prompt finds ways around it.

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

-- Which agent worked on what: a Socratic session, a job or a week, exactly one of them. The service writes it.

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
                where (r.state = 'later' or r.state = 'waiting' or r.state = 'admitted')
                    and j.status in ('queued', 'running')
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
                        and j.created_at >= l.created_at
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
                where (r.state = 'later' or r.state = 'waiting' or r.state = 'admitted')
                    and j.status in ('queued', 'running')
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
                        and j.created_at >= v.created_at
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
                where (r.state = 'later' or r.state = 'waiting' or r.state = 'admitted')
                    and j.status in ('queued', 'running')
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
                        and j.created_at >= c.created_at
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

-- The planner estimates a row count from statistics over everybody's rows. `Prefer: count=planned` with a filter on another
-- person's id would therefore tell how many rows that person has. Two parts refuse such counts to everybody but the service:
-- hooks.before_request gives the answer, and private.not_explained is the lock. The lock is needed because PostgREST obeys
-- the first of several Prefer lines and shows a function only the last.

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
    'PostgREST calls it first in every request. 42501 for Prefer: count=planned or count=estimated, except from the service.';

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
