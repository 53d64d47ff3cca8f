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
