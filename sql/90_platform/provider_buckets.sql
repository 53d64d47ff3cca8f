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
