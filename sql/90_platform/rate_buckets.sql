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
