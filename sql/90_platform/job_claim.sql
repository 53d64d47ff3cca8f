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
