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
