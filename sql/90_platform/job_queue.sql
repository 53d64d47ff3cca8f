-- The queue as workers use it: enqueue, claim, heartbeat, complete, fail, release, reap. Reached over REST, so each call is
-- one transaction and its answer may be lost: a claim can be asked for again, a completion said twice.
--
-- Lock order, everywhere: the job's row, then its owner's places (an advisory lock, several by id). While places are locked,
-- rows of private.job_waiting are only taken with skip locked; nothing waits in a circle.

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

create function private.admit_jobs(p_user_id uuid)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_free int;
    v_best record;
    v_worst record;
begin
    perform pg_advisory_xact_lock(hashtextextended(p_user_id::text, 90));
    v_free := private.job_cap(p_user_id)
        - (select count(*) from private.job_waiting where user_id = p_user_id and state = 'admitted')
        - (select count(*) from public.jobs where user_id = p_user_id and status = 'running');
    if v_free > 0 then
        update private.job_waiting set state = 'admitted'
        where job_id = any (array(
            select job_id from private.job_waiting
            where user_id = p_user_id and state = 'waiting'
            order by rank, job_id
            limit v_free
            for update skip locked
        ));
        return;
    end if;
    -- all places are taken: a job that ranks before one that was admitted and not yet claimed takes its place
    select job_id, rank into v_best from private.job_waiting
    where user_id = p_user_id and state = 'waiting' order by rank, job_id limit 1 for update skip locked;
    select job_id, rank into v_worst from private.job_waiting
    where user_id = p_user_id and state = 'admitted' order by rank desc limit 1 for update skip locked;
    if v_best.rank < v_worst.rank then
        update private.job_waiting
        set state = case when job_id = v_best.job_id then 'admitted' else 'waiting' end
        where job_id in (v_best.job_id, v_worst.job_id);
    end if;
end
$$;

comment on function private.admit_jobs(uuid) is 'Gives a person''s free places to his waiting jobs, best rank first.';

create function private.admit_due_jobs(p_limit int)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_owner uuid;
begin
    for v_owner in
        with due as (
            select job_id from private.job_waiting
            where state = 'later' and due_at <= private.clock()
            order by due_at
            limit p_limit
            for update skip locked
        ),
        moved as (
            update private.job_waiting as w
            set state = case when w.user_id is null then 'admitted' else 'waiting' end
            from due where w.job_id = due.job_id
            returning w.user_id
        )
        select distinct user_id from moved where user_id is not null order by user_id
    loop
        perform private.admit_jobs(v_owner);
    end loop;
end
$$;

comment on function private.admit_due_jobs(int) is 'Lets jobs whose moment has come into the queue.';

create function private.queue_job(p_job_id uuid)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_job public.jobs;
begin
    select * into v_job from public.jobs where id = p_job_id;
    insert into private.job_waiting (job_id, type, user_id, provider, rank, due_at, state)
    values (
        v_job.id, v_job.type, v_job.user_id, v_job.provider,
        private.job_rank(v_job.scheduled_at, v_job.priority), v_job.scheduled_at,
        case
            when v_job.scheduled_at > private.clock() then 'later'
            when v_job.user_id is null then 'admitted'
            else 'waiting'
        end
    );
    if v_job.user_id is not null then
        perform private.admit_jobs(v_job.user_id);
    end if;
end
$$;

comment on function private.queue_job(uuid) is 'Puts a queued job into the waiting line.';

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
        raise exception 'a job needs a type and a payload' using errcode = '22004';
    end if;
    if p_type <> all (enum_range(null::public.job_type)::text[]) then
        raise exception 'unknown job type' using errcode = '22023';
    end if;
    if p_dedupe_mode is distinct from 'join' and p_dedupe_mode is distinct from 'queued' then
        raise exception 'dedupe mode is join or queued' using errcode = '22023';
    end if;
    -- the winner of a race may end between our insert and our look: then the key is free again
    for i in 1 .. 10 loop
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
            insert into private.job_runtime (job_id, payload, unique_while)
            values (v_id, p_payload, case when p_dedupe_key is not null then p_dedupe_mode end);
            perform private.queue_job(v_id);
            return query select v_id, true;
            return;
        end if;
        select id into v_id from public.jobs
        where dedupe_key = p_dedupe_key and status in ('queued', 'running');
        if v_id is not null then
            return query select v_id, false;
            return;
        end if;
    end loop;
    raise exception 'the key % is taken and freed too fast', p_dedupe_key using errcode = '40001';
end
$$;

comment on function public.svc_enqueue_job(text, jsonb, uuid, uuid, text, text, int, timestamptz, int, int, text) is
    'Asks for work. A live job with the same dedupe_key is returned instead (created false); mode queued lets a running one '
    'be and joins only one that still waits, so that a change made meanwhile is not lost.';

create function private.end_try(
    p_job_id uuid,
    p_error_code text,
    p_error_message text,
    p_error_detail text,
    p_retryable boolean,
    p_retry_after_s int
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
    v_wait numeric;
begin
    -- the caller holds the row
    select * into v_job from public.jobs where id = p_job_id;
    if v_job.cancel_requested then
        v_job.status := 'cancelled';
    elsif p_retryable and v_job.retry_count < v_job.max_retries then
        -- half fixed, half random, so that what failed together does not come back together
        v_wait := least(3600, 30 * 2 ^ least(v_job.retry_count, 10));
        v_wait := v_wait / 2 + v_wait / 2 * private.jitter()::numeric;
        v_job.status := 'queued';
        v_job.scheduled_at := v_now + make_interval(secs => greatest(v_wait, coalesce(p_retry_after_s, 0))::float8);
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
    if v_job.status = 'queued' then
        perform private.queue_job(p_job_id);
    end if;
    return v_job;
end
$$;

comment on function private.end_try(uuid, text, text, text, boolean, int) is
    'Ends a try without success: queued again after a back-off, failed when no try is left, cancelled when asked for. '
    'The places of the owner are the caller''s business.';

create function private.reap_jobs(p_limit int)
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_job record;
    v_owners uuid[] := '{}';
    v_owner uuid;
    v_count int := 0;
begin
    for v_job in
        select j.id, j.user_id
        from public.jobs as j
        join private.job_runtime as r on r.job_id = j.id
        where j.status = 'running' and r.locked_until < private.clock()
        limit p_limit
        for update of j skip locked
    loop
        perform private.end_try(
            v_job.id, 'lease_expired', 'The work was interrupted and is tried again.', 'the lease ran out', true, null
        );
        v_owners := v_owners || v_job.user_id;
        v_count := v_count + 1;
    end loop;
    for v_owner in select distinct o from unnest(v_owners) as o where o is not null order by o loop
        perform private.admit_jobs(v_owner);
    end loop;
    return v_count;
end
$$;

comment on function private.reap_jobs(int) is 'Ends tries whose lease ran out, as failures that may be tried again.';

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
#variable_conflict use_column
declare
    v_now constant timestamptz := private.clock();
    v_until constant timestamptz := v_now + make_interval(secs => least(greatest(coalesce(p_lease_s, 60), 1), 3600));
    v_limit constant int := least(greatest(coalesce(p_limit, 1), 1), 100);
    v_claim constant uuid := coalesce(p_claim_id, gen_random_uuid());
    v_types public.job_type[];
    v_blocked text[];
    v_taken uuid[];
    v_waits jsonb := '{}';
    v_granted jsonb;
    v_bucket private.provider_buckets;
    v_tokens numeric;
begin
    if p_worker is null or p_types is null then
        raise exception 'a claim names its worker and its types' using errcode = '22004';
    end if;
    v_types := array(select t::public.job_type from unnest(p_types) as t
                     where t = any (enum_range(null::public.job_type)::text[]));
    if not exists (
        select from private.job_runtime as r join public.jobs as j on j.id = r.job_id
        where r.claim_id = v_claim and j.status = 'running'
    ) then
        if exists (select from public.jobs as j join private.job_runtime as r on r.job_id = j.id
                   where j.status = 'running' and r.locked_until < v_now) then
            perform private.reap_jobs(20);
        end if;
        if exists (select from private.job_waiting where state = 'later' and due_at <= v_now) then
            perform private.admit_due_jobs(100);
        end if;
        select array_agg(b.provider) into v_blocked from private.provider_buckets as b
        where b.paused_until > v_now or private.bucket_tokens(b) + b.refill_per_s < 1;

        v_taken := array(
            select w.job_id from private.job_waiting as w
            where w.state = 'admitted'
                and w.type = any (v_types)
                and (w.provider is null or v_blocked is null or w.provider <> all (v_blocked))
            order by w.rank, w.job_id
            limit v_limit
            for update skip locked
        );
        -- a bucket hands out what it holds, and what comes back within a second
        for v_bucket in
            select * from private.provider_buckets as b
            where b.provider in (select w.provider from private.job_waiting as w where w.job_id = any (v_taken))
            order by b.provider
            for update
        loop
            v_tokens := private.bucket_tokens(v_bucket);
            select coalesce(jsonb_object_agg(c.job_id, greatest(0, ceil((c.nth - v_tokens) / v_bucket.refill_per_s * 1000))), '{}')
            into v_granted
            from (
                select w.job_id, row_number() over (order by w.rank, w.job_id) as nth
                from private.job_waiting as w where w.job_id = any (v_taken) and w.provider = v_bucket.provider
            ) as c
            where c.nth <= v_tokens + v_bucket.refill_per_s;
            v_taken := array(
                select w.job_id from private.job_waiting as w
                where w.job_id = any (v_taken)
                    and (w.provider is distinct from v_bucket.provider or v_granted ? w.job_id::text)
            );
            v_waits := v_waits || v_granted;
            update private.provider_buckets
            set tokens = v_tokens - (select count(*) from jsonb_object_keys(v_granted)), refilled_at = v_now
            where provider = v_bucket.provider;
        end loop;

        if cardinality(v_taken) > 0 then
            delete from private.job_waiting as w where w.job_id = any (v_taken);
            update private.job_runtime as r
            set lease_token = gen_random_uuid(), claim_id = v_claim, locked_by = left(p_worker, 200), locked_until = v_until
            where r.job_id = any (v_taken);
            update public.jobs as j
            set status = 'running', started_at = v_now, error_code = null, error_message = null, progress = '{}',
                dedupe_key = case when r.unique_while = 'queued' then null else j.dedupe_key end
            from private.job_runtime as r
            where j.id = any (v_taken) and r.job_id = j.id;
        end if;
    end if;
    return query
    select j.id, j.type::text, j.user_id, j.week_id, r.payload, j.retry_count, j.max_retries, j.timeout_s, r.lease_token,
           r.locked_until, coalesce((v_waits ->> j.id::text)::int, 0)
    from private.job_runtime as r
    join public.jobs as j on j.id = r.job_id
    where r.claim_id = v_claim and j.status = 'running'
    order by private.job_rank(j.scheduled_at, j.priority), j.id;
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
as $$
#variable_conflict use_column
declare
    v_until constant timestamptz :=
        private.clock() + make_interval(secs => least(greatest(coalesce(p_lease_s, 60), 1), 3600));
begin
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
as $$
#variable_conflict use_column
declare
    v_owner uuid;
    v_owners uuid[];
begin
    -- locked in one order, so that two workers never wait for each other
    perform from public.jobs as j
    where j.id = any (array(select (x ->> 'job_id')::uuid from jsonb_array_elements(p_jobs) as x))
    order by j.id for update;
    with said as (
        select * from jsonb_to_recordset(p_jobs) as x (job_id uuid, lease_token uuid, result jsonb)
    ),
    finished as (
        update public.jobs as j
        set status = 'succeeded', result = s.result, completed_at = private.clock()
        from said as s join private.job_runtime as r on r.job_id = s.job_id and r.lease_token = s.lease_token
        where j.id = s.job_id and j.status = 'running'
        returning j.user_id
    )
    select array_agg(distinct f.user_id order by f.user_id) filter (where f.user_id is not null) into v_owners
    from finished as f;
    foreach v_owner in array coalesce(v_owners, '{}') loop
        perform private.admit_jobs(v_owner);
    end loop;
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
    select j.* from public.jobs as j
    where j.id = p_job_id and j.status = 'running'
        and exists (select from private.job_runtime as r where r.job_id = j.id and r.lease_token = p_lease_token)
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
as $$
#variable_conflict use_column
declare
    v_job public.jobs := private.held_job(p_job_id, p_lease_token);
begin
    if v_job.id is null then
        return;
    end if;
    v_job := private.end_try(
        p_job_id, p_error_code, p_error_message, p_error_detail, coalesce(p_retryable, true), p_retry_after_s
    );
    if v_job.user_id is not null then
        perform private.admit_jobs(v_job.user_id);
    end if;
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
as $$
declare
    v_said record;
    v_job public.jobs;
    v_count int := 0;
begin
    for v_said in
        select * from jsonb_to_recordset(p_jobs) as x (job_id uuid, lease_token uuid) order by x.job_id
    loop
        v_job := private.held_job(v_said.job_id, v_said.lease_token);
        continue when v_job.id is null;
        update private.job_runtime
        set lease_token = null, locked_until = null, locked_by = null, claim_id = null
        where job_id = v_job.id;
        update public.jobs
        set status = case when cancel_requested then 'cancelled' else 'queued' end::public.job_status,
            completed_at = case when cancel_requested then private.clock() end
        where id = v_job.id
        returning * into v_job;
        if v_job.status = 'queued' then
            perform private.queue_job(v_job.id);
        elsif v_job.user_id is not null then
            perform private.admit_jobs(v_job.user_id);
        end if;
        v_count := v_count + 1;
    end loop;
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
as $$
declare
    v_count constant int := private.reap_jobs(least(greatest(coalesce(p_limit, 100), 1), 1000));
    v_owner uuid;
begin
    perform private.admit_due_jobs(1000);
    -- places freed without a word: a running job that went with its week or was deleted
    for v_owner in
        with recursive owners as (
            (select user_id from private.job_waiting where state = 'waiting' order by user_id limit 1)
            union all
            select (
                select w.user_id from private.job_waiting as w
                where w.state = 'waiting' and w.user_id > o.user_id order by w.user_id limit 1
            )
            from owners as o where o.user_id is not null
        )
        select user_id from owners where user_id is not null order by user_id limit 1000
    loop
        perform private.admit_jobs(v_owner);
    end loop;
    return v_count;
end
$$;

comment on function public.svc_reap_expired_jobs(int) is
    'Ends tries whose lease ran out, lets due jobs in, fills places that fell free. Returns how many leases had run out.';
