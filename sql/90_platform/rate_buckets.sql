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

create function private.take_rate(p_bucket text, p_limit int, p_window_s int)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_rate record;
begin
    select * into v_rate from public.svc_take_rate(p_bucket, p_limit, p_window_s);
    if not v_rate.allowed then
        -- how PostgREST is told a status, a header and our own code
        raise sqlstate 'PGRST' using
            message = jsonb_build_object(
                'code', 'rate_limited', 'message', 'too many tries', 'details', null,
                'hint', format('Try again in %s seconds.', v_rate.retry_after_s)
            )::text,
            detail = jsonb_build_object(
                'status', 429, 'headers', jsonb_build_object('Retry-After', v_rate.retry_after_s::text)
            )::text;
    end if;
end
$$;

comment on function private.take_rate(text, int, int) is
    'svc_take_rate for client functions: answers 429 rate_limited with Retry-After when it is not allowed. The '
    'refusal undoes what the caller''s transaction did, so call it first.';
