-- The queue's waiting line moves into private.job_runtime, so that a claim writes two rows in place and no index; ids of
-- jobs begin with the time; keys of live jobs get a table of their own.

create domain private.job_state as text
constraint job_state_check check (value in ('later', 'waiting', 'admitted', 'over'));
comment on domain private.job_state is
    'Where a job stands in the queue. later: not due. waiting: due, but its owner has no free place. admitted: has a place, '
    'waits for a worker or runs. over: ended.';

create domain private.job_payload as jsonb constraint job_payload_check check (jsonb_typeof(value) = 'object');
comment on domain private.job_payload is 'The input of a job: an object. A domain, so that it is looked at when written alone.';

-- jobs

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

alter table public.jobs
    alter column id set default private.job_id(),
    drop constraint jobs_retry_count_check,
    drop constraint jobs_max_retries_check,
    drop constraint jobs_week_id_check,
    drop constraint jobs_timeout_s_check,
    drop constraint jobs_dedupe_key_check,
    set (fillfactor = 60);

drop index public.jobs_dedupe_key_key;
drop index public.idx_jobs_queued;
drop index public.idx_jobs_running;
drop index public.idx_jobs_completed;
create index idx_jobs_dedupe_key on public.jobs (dedupe_key) where dedupe_key is not null;
create index idx_jobs_created on public.jobs (created_at);
comment on column public.jobs.priority is 'Higher goes first; waiting raises it, see private.job_runtime.rank.';

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
    '100, a week only with its owner, 1 s to a day for a try, keys of 1 to 500 characters. A check constraint is read anew '
    'by each statement that updates the table, whatever it changes; these cost a tenth of a claim.';

create trigger trg_jobs_check
before insert or update of retry_count, max_retries, week_id, user_id, timeout_s, dedupe_key on public.jobs
for each row execute function private.check_job();

revoke all on function private.job_id()
from public, anon, authenticated, app_admin, service_role;
-- the service may write the table, and its default with it
grant execute on function private.job_id() to service_role;

revoke all on function private.check_job()
from public, anon, authenticated, app_admin, service_role;

-- keys

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

create function private.keep_job_key()
returns trigger
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if tg_op = 'UPDATE' and (
        new.status not in ('queued', 'running') or new.dedupe_key is distinct from old.dedupe_key
    ) then
        delete from private.job_keys where job_id = old.id;
    end if;
    if new.status in ('queued', 'running') and new.dedupe_key is not null
        and not exists (select from private.job_keys where dedupe_key = new.dedupe_key and job_id = new.id) then
        insert into private.job_keys (dedupe_key, job_id) values (new.dedupe_key, new.id);
    end if;
    return null;
end
$$;

comment on function private.keep_job_key() is
    'AFTER INSERT or UPDATE of a job with a key: a live job has it (23505 when another has), an ended one gives it up.';

create trigger trg_jobs_key_taken after insert on public.jobs
for each row when (new.dedupe_key is not null) execute function private.keep_job_key();

create trigger trg_jobs_key_kept after update of status, dedupe_key on public.jobs
for each row when (old.dedupe_key is not null or new.dedupe_key is not null)
execute function private.keep_job_key();

insert into private.job_keys (dedupe_key, job_id)
select dedupe_key, id from public.jobs where status in ('queued', 'running') and dedupe_key is not null;
set constraints private.job_keys_job_id_fkey immediate;

alter table private.job_keys enable row level security;
revoke all on private.job_keys from public, anon, authenticated, app_admin, service_role;

create policy nobody on private.job_keys for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.job_keys is 'Nobody reaches the keys by the API.';

revoke all on function private.keep_job_key()
from public, anon, authenticated, app_admin, service_role;

-- the waiting line

alter table private.job_runtime
    drop constraint job_runtime_payload_check,
    drop constraint job_runtime_lease_check,
    alter column payload type private.job_payload,
    add column type public.job_type,
    add column user_id uuid,
    add column provider text,
    add column rank timestamptz,
    add column due_at timestamptz,
    add column state private.job_state,
    set (fillfactor = 50);

drop index private.idx_job_runtime_claim;

update private.job_runtime as r
set type = j.type, user_id = j.user_id, provider = j.provider, rank = private.job_rank(j.scheduled_at, j.priority),
    due_at = j.scheduled_at,
    state = case
        when j.status = 'running' then 'admitted'
        when j.status = 'queued' then coalesce(w.state, 'later')
        else 'over'
    end::private.job_state
from public.jobs as j
left join private.job_waiting as w on w.job_id = j.id
where j.id = r.job_id;

alter table private.job_runtime
    alter column type set not null,
    alter column rank set not null,
    alter column due_at set not null,
    alter column state set not null;

create index idx_job_runtime_admitted on private.job_runtime (rank, job_id) where state = 'admitted';
create index idx_job_runtime_waiting on private.job_runtime (user_id, rank, job_id) where state = 'waiting';
create index idx_job_runtime_places on private.job_runtime (user_id) where state = 'admitted';
create index idx_job_runtime_later on private.job_runtime (due_at) where state = 'later';

comment on column private.job_runtime.type is 'The job''s type: workers claim by it.';
comment on column private.job_runtime.user_id is 'Its owner: places are counted by person.';
comment on column private.job_runtime.provider is 'The outside system whose limit it shares.';
comment on column private.job_runtime.rank is
    'Claims go by it, earliest first: when it was due, less five minutes for each step of priority. As all jobs age alike, '
    'this fixed moment is priority with ageing: a step of priority is worth five minutes of waiting.';
comment on column private.job_runtime.due_at is 'Not before this moment.';
comment on column private.job_runtime.state is 'later, waiting, admitted or over.';

drop table private.job_waiting;
drop table private.job_front;

-- One row for each claim some of whose jobs run: by it a claim that is asked for again finds its jobs, and reaping finds
-- what runs. Rows of claims that are over go with the next sweep; read whole, it is small.
create table private.job_claims (
    id uuid primary key,
    job_ids uuid[] not null
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);

comment on table private.job_claims is 'What was handed out together.';
comment on column private.job_claims.id is 'The claim''s id, chosen by the worker.';
comment on column private.job_claims.job_ids is 'Its jobs.';

insert into private.job_claims (id, job_ids)
select claim_id, array_agg(job_id) from private.job_runtime
where state = 'admitted' and claim_id is not null group by claim_id;

-- Claims begin to look at this rank (microseconds since 1970), not at the start: while an old snapshot is open, the index
-- entries of jobs long taken cannot go, and passing them again for each claim would cost more each second. A hint: moved
-- on by claims, back by whoever admits a job before it, found anew from the start once a second. Sequences, because they
-- are changed in place, whatever snapshot is open.
create sequence private.job_front minvalue 0 start 0;
comment on sequence private.job_front is 'Where claims begin to look: a rank in microseconds since 1970.';

create sequence private.job_look minvalue 0 start 0;
comment on sequence private.job_look is
    'From when on (milliseconds since 1970) looking for the front from the start is no waste of time.';

alter table private.job_claims enable row level security;
revoke all on private.job_claims from public, anon, authenticated, app_admin, service_role;

create policy nobody on private.job_claims for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.job_claims is 'Nobody reaches claims by the API.';

revoke all on sequence private.job_front from public, anon, authenticated, app_admin, service_role;
revoke all on sequence private.job_look from public, anon, authenticated, app_admin, service_role;

-- functions

drop function private.find_front(timestamptz);
drop function private.take_waiting(public.job_type[], text[], timestamptz, uuid[], int);

create or replace function private.job_cap(p_user_id uuid)
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

create or replace function private.job_rank(p_scheduled_at timestamptz, p_priority int)
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

create or replace function private.set_front(p_rank timestamptz)
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

create or replace function private.first_state(p_scheduled_at timestamptz, p_user_id uuid)
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

create or replace function private.lower_front(p_rank timestamptz)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    -- should a claim move it on before this is committed, the next look from the start finds what was missed
    if p_rank < (select timestamptz 'epoch' + f.last_value * interval '1 microsecond' from private.job_front as f) then
        perform private.set_front(p_rank);
    end if;
end
$$;

comment on function private.lower_front(timestamptz) is 'Tells claims that a job was admitted before the place where they begin to look.';

create or replace function private.find_front()
returns timestamptz
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_began constant timestamptz := clock_timestamp();
    v_rank timestamptz;
    v_took interval;
begin
    select r.rank into v_rank from private.job_runtime as r
    where r.state = 'admitted' and r.lease_token is null
    order by r.rank, r.job_id
    limit 1;
    v_took := clock_timestamp() - v_began;
    -- looking takes two hundredths of the time at most, however long the way from the start has become
    if v_took < interval '2 milliseconds' then
        v_took := interval '0';
    end if;
    perform setval('private.job_look', (extract(epoch from clock_timestamp() + 50 * v_took) * 1000)::bigint);
    if v_rank is not null then
        perform private.set_front(v_rank);
    end if;
    return v_rank;
end
$$;

comment on function private.find_front() is
    'Looks for the first job to claim from the start, and notes where it stands; null when there is none.';

create or replace function private.admit_jobs(p_owners uuid[])
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

create or replace function private.admit_due_jobs(p_limit int)
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

create or replace function private.queue_jobs(p_job_ids uuid[])
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

create or replace function public.svc_enqueue_job(
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

create or replace function private.end_try(
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
        error_detail = left(p_error_detail, 4000),
        state = case when v_job.status = 'queued' then state else 'over'::private.job_state end
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
    'cancelled when asked for. Putting it back into the line and the owner''s places are the caller''s business.';

create or replace function private.forget_claims(p_limit int)
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
            where r.job_id = any (c.job_ids) and r.claim_id = c.id and r.state = 'admitted'
        ) = 0
        limit p_limit
        for update skip locked
    ));
end
$$;

comment on function private.forget_claims(int) is 'Forgets claims none of whose jobs runs any more.';

create or replace function private.reap_jobs(p_limit int)
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
        limit p_limit
        for update of j, r skip locked
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

create or replace function private.take_tokens(p_job_ids uuid[])
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

create or replace function public.svc_claim_jobs(
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
set enable_seqscan = 'off'
as $$
#variable_conflict use_column
declare
    v_now constant timestamptz := private.clock();
    v_until constant timestamptz := v_now + make_interval(secs => least(greatest(coalesce(p_lease_s, 60), 1), 3600));
    v_limit constant int := least(greatest(coalesce(p_limit, 1), 1), 100);
    v_claim constant uuid := coalesce(p_claim_id, gen_random_uuid());
    -- as functions, not as rows: that needs no query. Null before the first look
    v_from timestamptz := coalesce(
        timestamptz 'epoch' + nullif(pg_sequence_last_value('private.job_front'), 0) * interval '1 microsecond', '-infinity'
    );
    v_look constant bigint := coalesce(pg_sequence_last_value('private.job_look'), 0);
    v_again uuid[];
    v_due boolean;
    v_limited boolean;
    v_blocked text[];
    v_taken uuid[] := '{}';
    v_waits jsonb := '{}';
begin
    if p_worker is null or p_types is null then
        raise exception 'a claim names its worker and its types' using errcode = '22004';
    end if;
    -- nobody waits for the disk: should a power cut forget this claim, its jobs wait again, as after a lease that ran out.
    -- And the first asking for this claim may still be under way
    if set_config('synchronous_commit', 'off', true) is null
        or not pg_try_advisory_xact_lock(hashtextextended(v_claim::text, 91)) then
        perform pg_advisory_xact_lock(hashtextextended(v_claim::text, 91));
    end if;
    select
        (select c.job_ids from private.job_claims as c where c.id = p_claim_id),
        (
            select true from private.job_runtime as w where w.state = 'later' and w.due_at <= v_now
            order by w.due_at limit 1
        ),
        exists (select from private.provider_buckets)
    into v_again, v_due, v_limited;
    if v_again is not null then
        return query
        select j.id, j.type::text, j.user_id, j.week_id, r.payload::jsonb, j.retry_count, j.max_retries, j.timeout_s,
               r.lease_token, r.locked_until, 0
        from private.job_runtime as r
        join public.jobs as j on j.id = r.job_id
        where r.job_id = any (v_again) and r.claim_id = p_claim_id and j.status = 'running'
        order by r.rank, j.id;
        if found then
            return;
        end if;
        delete from private.job_claims as c where c.id = p_claim_id;
    end if;
    if v_limited then
        select array_agg(b.provider) into v_blocked from private.provider_buckets as b
        where b.paused_until > v_now or private.bucket_tokens(b) + b.refill_per_s < 1;
    end if;
    if v_due then
        perform private.admit_due_jobs(100);
        v_from := '-infinity';
    end if;
    if extract(epoch from clock_timestamp()) * 1000 > v_look + 1000 then
        v_from := coalesce(private.find_front(), v_from);
    elsif random() < 0.06 then
        select w.rank into v_from from private.job_runtime as w
        where w.state = 'admitted' and w.rank >= v_from and w.lease_token is null
        order by w.rank, w.job_id
        limit 1;
        if found then
            perform private.set_front(v_from);
        else
            v_from := '-infinity';
        end if;
    end if;
    for v_turn in 1 .. 2 loop
        v_taken := v_taken || array(
            select w.job_id from private.job_runtime as w
            where w.state = 'admitted'
                and w.rank >= v_from
                and w.lease_token is null
                and w.type::text = any (p_types)
                and (w.provider is null or v_blocked is null or w.provider <> all (v_blocked))
                and w.job_id <> all (v_taken)
            order by w.rank, w.job_id
            limit v_limit - cardinality(v_taken)
            for update skip locked
        );
        exit when cardinality(v_taken) = v_limit or v_turn = 2;
        -- little to do: time to look for what was left lying
        perform private.forget_claims(100);
        perform private.reap_jobs(20);
        if extract(epoch from clock_timestamp()) * 1000 >= v_look then
            v_from := coalesce(private.find_front(), v_from);
        end if;
    end loop;
    if v_limited then
        v_waits := private.take_tokens(v_taken);
        v_taken := array(
            select w.job_id from private.job_runtime as w
            where w.job_id = any (v_taken) and (v_waits ->> w.job_id::text is distinct from 'refused')
        );
    end if;
    if cardinality(v_taken) = 0 then
        return;
    end if;
    return query
    with taken as (
        update private.job_runtime as r
        set lease_token = gen_random_uuid(), claim_id = v_claim, locked_by = left(p_worker, 200), locked_until = v_until
        -- a job that is being deleted with its owner at this moment is left alone: nobody here waits for a job's row
        where r.job_id = any (array(
            select j.id from public.jobs as j where j.id = any (v_taken) for no key update skip locked
        ))
        returning r.job_id, r.rank, r.payload::jsonb as payload, r.lease_token
    ),
    started as (
        update public.jobs as j
        set status = 'running', started_at = v_now, error_code = null, error_message = null, progress = '{}',
            updated_at = now()
        from taken as t where j.id = t.job_id
        returning j.id, j.type, j.user_id, j.week_id, t.payload, j.retry_count, j.max_retries, j.timeout_s, t.lease_token,
            t.rank
    ),
    noted as (
        insert into private.job_claims (id, job_ids) select v_claim, array_agg(t.job_id) from taken as t having count(*) > 0
    )
    select s.id, s.type::text, s.user_id, s.week_id, s.payload, s.retry_count, s.max_retries, s.timeout_s, s.lease_token,
           v_until, coalesce((v_waits ->> s.id::text)::int, 0)
    from started as s
    order by s.rank, s.id;
end
$$;

comment on function public.svc_claim_jobs(text, text[], int, int, uuid) is
    'Hands out up to p_limit (1 to 100) waiting jobs of the given types, each leased for p_lease_s seconds. The same claim id '
    'gives the same rows again, while they run. provider_wait_ms: begin the work no sooner.';

create or replace function public.svc_heartbeat_jobs(p_jobs jsonb, p_lease_s int default 60)
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
        for no key update of j, r
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

create or replace function public.svc_complete_jobs(p_jobs jsonb)
returns table (job_id uuid, done boolean)
language plpgsql
volatile
security definer
set search_path = ''
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
#variable_conflict use_column
declare
    v_now constant timestamptz := private.clock();
    v_done uuid[];
    v_owners uuid[];
begin
    if p_jobs is null then
        raise exception 'which jobs' using errcode = '22004';
    end if;
    with said as (
        select * from jsonb_to_recordset(p_jobs) as s (job_id uuid, lease_token uuid, result jsonb)
    ),
    -- the place is free; whoever waited here for a reaper or a claim sees its new token
    ended as (
        update private.job_runtime as r set state = 'over'
        from said as s
        where r.job_id = s.job_id and r.lease_token = s.lease_token and r.state = 'admitted'
            and r.job_id = any (array(
                select j.id from public.jobs as j
                where j.id = any (array(select s.job_id from said as s)) and j.status = 'running'
                order by j.id
                for no key update
            ))
        returning r.job_id, r.user_id, s.result
    ),
    shown as (
        update public.jobs as j
        set status = 'succeeded', result = nullif(e.result, 'null'), completed_at = v_now, updated_at = now()
        from ended as e where j.id = e.job_id
    )
    -- their owners' places are locked here and looked at below: so somebody who found them taken is seen, or sees us
    select
        (select array_agg(e.job_id) from ended as e),
        (
            select array_agg(p.user_id) filter (where p.locked is not null)
            from (
                select o.user_id, pg_advisory_xact_lock(hashtextextended(o.user_id::text, 90)) as locked
                from (select distinct e.user_id from ended as e where e.user_id is not null order by e.user_id) as o
            ) as p
        )
    into v_done, v_owners;
    if exists (
        select from unnest(v_owners) as o (id) where (
            select true from private.job_runtime as r where r.user_id = o.id and r.state = 'waiting'
            order by r.rank, r.job_id limit 1
        )
    ) then
        perform private.admit_jobs(v_owners);
    end if;
    if cardinality(v_done) = jsonb_array_length(p_jobs) then
        return query select j.id, true from unnest(v_done) as j (id);
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

create or replace function private.held_job(p_job_id uuid, p_lease_token uuid)
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

create or replace function public.svc_fail_job(
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

create or replace function public.svc_release_jobs(p_jobs jsonb)
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
        for update of j, r
    ),
    freed as (
        update private.job_runtime as r
        set lease_token = null, locked_until = null, locked_by = null, claim_id = null,
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
    perform private.queue_jobs(v_again);
    perform private.admit_jobs(v_owners);
    return v_count;
end
$$;

comment on function public.svc_release_jobs(jsonb) is
    'Gives jobs back as they were, the try not counted: a worker that stops in good order. Returns how many.';

create or replace function public.svc_reap_expired_jobs(p_limit int default 100)
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
    perform private.forget_claims(20000);
    return v_count;
end
$$;

comment on function public.svc_reap_expired_jobs(int) is
    'Ends tries whose lease ran out and lets due jobs in. Returns how many leases had run out.';

create or replace function public.svc_count_waiting_jobs()
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

create or replace function private.refill_places()
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

create or replace function private.end_live_job(p_job_id uuid)
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

create or replace function private.purge_jobs()
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
        order by created_at
        limit 5000
        for update skip locked
    ));
    get diagnostics v_count = row_count;
    return jsonb_build_object('jobs', v_count);
end
$$;

comment on function private.purge_jobs() is
    'Forgets jobs 30 days after success or cancellation, 90 after failure; at most 5000 a call.';

create or replace function private.fail_stuck_rows()
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

create or replace function private.live_job(p_type text, p_key text, p_id uuid)
returns boolean
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    -- the live set is small: finished jobs are never looked at
    return exists (
        select from public.jobs as j
        join private.job_runtime as r on r.job_id = j.id
        where (r.state = 'later' or r.state = 'waiting' or r.state = 'admitted')
            and j.status in ('queued', 'running')
            and j.type::text = p_type
            and r.payload ->> p_key = p_id::text
    );
end
$$;

comment on function private.live_job(text, text, uuid) is
    'Whether a queued or running job of this type names this row in its payload.';

create or replace function public.svc_sweep_generations()
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_row record;
    v_text text;
    v_count int := 0;
begin
    for v_row in
        select m.id, m.created_at from public.messages as m
        where m.status = 'streaming' and m.created_at < private.clock() - interval '1 minute'
        for update skip locked
    loop
        -- a word in the last minute shows that somebody is still writing
        if exists (
            select from private.generation_events as e
            where e.stream_id = v_row.id and e.at >= private.clock() - interval '1 minute'
        ) or private.live_job('chat_answer', 'message_id', v_row.id) then
            continue;
        end if;
        select coalesce(string_agg(e.part ->> 'delta', '' order by e.seq), '') into v_text
        from private.generation_events as e
        where e.stream_id = v_row.id and e.part ->> 'type' = 'text-delta';
        update public.messages set status = 'interrupted', content = left(v_text, 200000) where id = v_row.id;
        v_count := v_count + 1;
    end loop;

    -- a job that ended badly says so at once; without any trace of one, an hour must pass
    for v_row in
        select h.id from public.headstart_runs as h
        where h.status in ('queued', 'running')
            and not exists (
                select from public.jobs as j
                join private.job_runtime as r on r.job_id = j.id
                where (r.state = 'later' or r.state = 'waiting' or r.state = 'admitted')
                    and j.status in ('queued', 'running')
                    and j.type = 'headstart'
                    and r.payload ->> 'run_id' = h.id::text
            )
            and (
                coalesce(h.started_at, h.created_at) < private.clock() - interval '1 hour'
                or exists (
                    select from public.jobs as j
                    join private.job_runtime as r on r.job_id = j.id
                    where j.user_id = h.user_id
                        and j.status in ('failed', 'cancelled')
                        and j.type = 'headstart'
                        and r.payload ->> 'run_id' = h.id::text
                )
            )
        for update of h skip locked
    loop
        perform public.svc_finish_headstart_run(
            v_row.id, 'failed', null, 'interrupted: the work stopped before it was done', '{}'
        );
        v_count := v_count + 1;
    end loop;
    return v_count + private.fail_stuck_rows();
end
$$;

comment on function public.svc_sweep_generations() is
    'Ends what no live job will finish: answers (interrupted, keeping the text so far), headstart runs, lectures, '
    'reviews and content sources (failed); returns how many. Called by workers every few seconds and by '
    'svc_purge_expired.';

revoke all on function private.set_front(timestamptz)
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.find_front()
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.first_state(timestamptz, uuid)
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.forget_claims(int)
from public, anon, authenticated, app_admin, service_role;

revoke all on function public.svc_count_waiting_jobs()
from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_count_waiting_jobs() to service_role;
