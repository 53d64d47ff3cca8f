-- What people used of their quotas: uploaded megabytes, transcribed minutes. A service takes what it is about to use,
-- in one statement that counts and compares, and gives it back when the work failed.

create table private.usage_counters (
    user_id uuid not null,
    meter text not null,
    period_start timestamptz not null,
    used bigint not null,

    constraint usage_counters_pkey primary key (user_id, meter, period_start),
    constraint usage_counters_user_id_fkey
        foreign key (user_id) references public.profiles(user_id) on delete cascade,
    constraint usage_counters_meter_check check (meter ~ '^[a-z][a-z0-9_]{0,49}$'),
    constraint usage_counters_used_check check (used >= 0)
);

-- for retention
create index idx_usage_counters_period_start on private.usage_counters (period_start);

comment on table private.usage_counters is 'What a person used of a quota in a period.';
comment on column private.usage_counters.user_id is 'Who used it.';
comment on column private.usage_counters.meter is
    'What is counted, with its unit: document_mb (1 MiB each, begun ones count), lecture_minutes, generated_content, '
    'questions, code_reviews.';
comment on column private.usage_counters.period_start is 'Start of the period.';
comment on column private.usage_counters.used is 'How much was used.';

create function private.check_usage(p_user_id uuid, p_meter text, p_amount bigint)
returns void
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    if num_nulls(p_user_id, p_meter, p_amount) > 0 then
        raise exception 'p_user_id, p_meter and p_amount must not be null' using errcode = '22004';
    end if;
    if p_meter !~ '^[a-z][a-z0-9_]{0,49}$' then
        raise exception 'p_meter must be a lower-case name of at most 50 characters' using errcode = '22023';
    end if;
    perform private.check_number('p_amount', p_amount, 1, 1000000000);
    if not exists (select from public.profiles where user_id = p_user_id) then
        raise exception 'no person has the id in p_user_id' using errcode = 'PT404';
    end if;
end
$$;

comment on function private.check_usage(uuid, text, bigint) is 'The checks that taking and giving back have in common.';

create function private.usage_terms(p_user_id uuid, p_meter text)
returns table (max_used bigint, period_start timestamptz, period_end timestamptz)
language sql
stable
security definer
set search_path = ''
as $$
    -- no plan limits anything yet, so the person and the meter make no difference
    select null::bigint, month.first at time zone 'UTC', (month.first + interval '1 month') at time zone 'UTC'
    from (select date_trunc('month', private.clock() at time zone 'UTC') as first) as month;
$$;

comment on function private.usage_terms(uuid, text) is
    'A person''s quota of a meter and its period: no limit (null), and the calendar month in UTC.';

create function public.svc_take_usage(p_user_id uuid, p_meter text, p_amount bigint default 1)
returns table (taken boolean, used bigint, max_used bigint, period_start timestamptz, period_end timestamptz)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_terms record;
    v_used bigint;
begin
    perform private.check_usage(p_user_id, p_meter, p_amount);
    select t.max_used, t.period_start, t.period_end into v_terms from private.usage_terms(p_user_id, p_meter) as t;
    if p_amount <= coalesce(v_terms.max_used, p_amount) then
        -- one statement counts and compares, so that two calls at once cannot both take the last of it
        insert into private.usage_counters as c (user_id, meter, period_start, used)
        values (p_user_id, p_meter, v_terms.period_start, p_amount)
        on conflict (user_id, meter, period_start) do update set used = c.used + p_amount
        where c.used + p_amount <= coalesce(v_terms.max_used, c.used + p_amount)
        returning c.used into v_used;
    end if;
    return query
    select
        v_used is not null,
        coalesce(v_used, (
            select c.used from private.usage_counters as c
            where c.user_id = p_user_id and c.meter = p_meter and c.period_start = v_terms.period_start
        ), 0),
        v_terms.max_used, v_terms.period_start, v_terms.period_end;
end
$$;

comment on function public.svc_take_usage(uuid, text, bigint) is
    'Takes p_amount of a person''s quota for the current period, if so much is left. Says whether it was taken, how '
    'much is used now, how much may be (null is no limit), and the period. 22023 for a malformed meter, 22003 for an '
    'amount outside 1 to 1000000000, PT404 for an unknown person.';

create function public.svc_return_usage(
    p_user_id uuid, p_meter text, p_amount bigint default 1, p_period_start timestamptz default null
)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    perform private.check_time('p_period_start', p_period_start);
    perform private.check_usage(p_user_id, p_meter, p_amount);
    update private.usage_counters as c set used = greatest(0, c.used - p_amount)
    where c.user_id = p_user_id and c.meter = p_meter and c.period_start = coalesce(
        p_period_start, (select t.period_start from private.usage_terms(p_user_id, p_meter) as t)
    );
end
$$;

comment on function public.svc_return_usage(uuid, text, bigint, timestamptz) is
    'Gives back what was taken for work that failed, never below 0. p_period_start is the period that svc_take_usage '
    'named; without it, the current one. Errors as svc_take_usage.';
