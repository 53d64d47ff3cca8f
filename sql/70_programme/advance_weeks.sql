-- Weeks begin and end by the calendar of their learner, are measured meanwhile, and are archived long after. The jobs
-- week_advance and kpi_refresh call this in batches. A row that somebody else holds is left for the next run.

create function public.svc_advance_weeks(p_limit int default 200)
returns table (activated int, completed int)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_now constant timestamptz := private.clock();
    -- no zone is ahead of this one: narrows the scan before each learner's zone is asked
    v_latest constant date := (v_now at time zone 'Pacific/Kiritimati')::date;
    v_ids uuid[];
begin
    if p_limit is null or p_limit not between 1 and 1000 then
        raise exception 'p_limit must be between 1 and 1000' using errcode = '22003';
    end if;
    v_ids := array(
        select w.id from public.weeks as w join public.profiles as p on p.user_id = w.user_id
        where w.status = 'planned' and w.start_date <= v_latest
            and w.start_date <= (v_now at time zone p.timezone)::date
        order by w.start_date, w.id limit p_limit
        for key share of p skip locked for no key update of w skip locked
    );
    update public.weeks set status = 'active' where id = any (v_ids);
    activated := cardinality(v_ids);
    insert into public.notifications (user_id, type, status, title, body, payload, event_key, created_at)
    select
        w.user_id, 'week_started', 'sent', 'Your week begins',
        concat_ws(e'\n', 'Week ' || w.week_number, nullif(w.focus_area, '')),
        jsonb_build_object('week_id', w.id, 'start_date', w.start_date, 'end_date', w.end_date),
        'week_started:' || w.id, v_now
    from public.weeks as w join public.profiles as p on p.user_id = w.user_id
    -- of a week that was missed there is nothing to tell
    where w.id = any (v_ids) and w.end_date >= (v_now at time zone p.timezone)::date
    order by w.user_id, w.id
    on conflict (user_id, event_key) where event_key is not null do nothing;
    v_ids := array(
        select w.id from public.weeks as w join public.profiles as p on p.user_id = w.user_id
        where w.status = 'active' and w.end_date < v_latest and w.end_date < (v_now at time zone p.timezone)::date
            -- somebody has more to do
            and (w.reopened_at is null or w.reopened_at <= v_now - interval '24 hours')
        order by w.end_date, w.id limit p_limit
        for key share of p skip locked for no key update of w skip locked
    );
    perform private.measure_week(id) from unnest(v_ids) as id;
    update public.weeks set status = 'completed' where id = any (v_ids);
    completed := cardinality(v_ids);
    return next;
end
$$;

comment on function public.svc_advance_weeks(int) is
    'Activates planned weeks from their first day on and completes active ones after their last, by the learner''s '
    'time zone; at most p_limit of each. Learners are told once of a week that begins, unless it is over. A week that '
    'was reopened by hand is not completed within 24 hours.';

create function public.svc_refresh_weeks(
    p_after uuid default null, p_limit int default 200, p_recorded_at timestamptz default null
)
returns table (measured int, last_id uuid)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_ids uuid[];
begin
    if p_limit is null or p_limit not between 1 and 1000 then
        raise exception 'p_limit must be between 1 and 1000' using errcode = '22003';
    end if;
    perform private.check_time('p_recorded_at', p_recorded_at);
    v_ids := array(
        select w.id from public.weeks as w join public.profiles as p on p.user_id = w.user_id
        where (p_after is null or w.id > p_after)
            and (
                w.status = 'active'
                or (p_recorded_at is not null and w.status = 'completed' and w.end_date >= private.today() - 8)
            )
        order by w.id limit p_limit
        for key share of p skip locked for no key update of w skip locked
    );
    measured := cardinality(v_ids);
    last_id := v_ids[measured];
    if p_recorded_at is null then
        perform private.measure_week(id) from unnest(v_ids) as id;
    else
        perform public.svc_measure_kpis(id, null, p_recorded_at) from unnest(v_ids) as id;
    end if;
    return next;
end
$$;

comment on function public.svc_refresh_weeks(uuid, int, timestamptz) is
    'Measures the completion and hours of active weeks, in the order of their ids after p_after. With p_recorded_at '
    'also their numbers, and those of weeks that ended in the last eight days. last_id is null when none was left.';

create function public.svc_archive_weeks(p_days int default 730, p_limit int default 500)
returns table (weeks int, sessions int)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
    if p_days is null or p_days not between 1 and 36500 then
        raise exception 'p_days must be between 1 and 36500' using errcode = '22003';
    end if;
    if p_limit is null or p_limit not between 1 and 1000 then
        raise exception 'p_limit must be between 1 and 1000' using errcode = '22003';
    end if;
    update public.weeks as w set status = 'archived'
    where w.id = any (array(
        select old.id from public.weeks as old
        where old.status = 'completed' and old.end_date < private.today() - p_days
        order by old.end_date, old.id limit p_limit for no key update skip locked
    ));
    get diagnostics weeks = row_count;
    update public.socratic_sessions as s set archived_at = private.clock()
    where s.id = any (array(
        select old.id from public.socratic_sessions as old
        where old.ended_at < private.clock() - make_interval(days => p_days) and old.archived_at is null
        order by old.ended_at, old.id limit p_limit for no key update skip locked
    ));
    get diagnostics sessions = row_count;
    return next;
end
$$;

comment on function public.svc_archive_weeks(int, int) is
    'Archives completed weeks and ended dialogues this many days after their end; at most p_limit of each. They stay '
    'readable.';
