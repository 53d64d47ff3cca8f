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
