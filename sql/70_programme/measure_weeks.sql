-- What a week has come to: its completion, its hours and its numbers. Days are those of the learner's time zone.

create function private.week_bounds(p_week public.weeks)
returns tstzrange
language sql
stable
security definer
set search_path = ''
as $$
    select tstzrange(
        p_week.start_date::timestamp at time zone p.timezone, (p_week.end_date + 1)::timestamp at time zone p.timezone
    )
    from public.profiles as p where p.user_id = p_week.user_id;
$$;

comment on function private.week_bounds(public.weeks) is
    'From the first moment of a week''s first day to the last of its last day, in the learner''s time zone.';

create function private.week_completion(p_week public.weeks)
returns int
language sql
stable
security definer
set search_path = ''
as $$
    with shares (share) as (
        select 100.0 * count(*) filter (where b.status = 'completed') / nullif(count(*), 0)
        from public.study_blocks as b
        where b.user_id = p_week.user_id and b.start_at <@ private.week_bounds(p_week) and b.status <> 'cancelled'
        union all
        select 100.0 * count(n.read_at) / nullif(count(*), 0)
        from (
            select c.read_at from public.clo_notes as c where c.week_id = p_week.id
            union all
            select e.read_at from public.engineer_notes as e where e.week_id = p_week.id
        ) as n
        union all
        select 100.0 * count(s.ended_at) / nullif(count(*), 0)
        from public.socratic_sessions as s where s.week_id = p_week.id
        union all
        select 100.0 * count(*) filter (where r.status = 'completed') / nullif(count(*), 0)
        from public.reviews as r where r.week_id = p_week.id
    )

    select coalesce(round(avg(share)), 0)::int from shares;
$$;

comment on function private.week_completion(public.weeks) is
    'The rounded mean over what the week has of: study blocks completed, notes read, dialogues ended, reviews '
    'completed, each in percent. Cancelled blocks do not count. 0 when it has none of them.';

create function private.week_hours(p_week public.weeks)
returns numeric
language sql
stable
security definer
set search_path = ''
as $$
    select round(coalesce(sum(extract(epoch from b.end_at - b.start_at)), 0) / 3600, 2)
    from public.study_blocks as b
    where b.user_id = p_week.user_id and b.start_at <@ private.week_bounds(p_week) and b.status = 'completed';
$$;

comment on function private.week_hours(public.weeks) is
    'Hours of the completed study blocks that begin in a week, to two decimals.';

create function private.measure_week(p_week_id uuid)
returns public.weeks
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_week public.weeks;
begin
    -- its owner comes first, as when a person is deleted
    perform from public.profiles as p join public.weeks as w on w.user_id = p.user_id
    where w.id = p_week_id for key share of p;
    select * into v_week from public.weeks where id = p_week_id for no key update;
    update public.weeks
    set completion_percentage = m.completion,
        actual_hours = case when are_hours_written then actual_hours else m.hours end
    from (select private.week_completion(v_week) as completion, round(private.week_hours(v_week))::int as hours) as m
    where id = v_week.id
        and (
            completion_percentage <> m.completion or (not are_hours_written and actual_hours is distinct from m.hours)
        )
    returning weeks.* into v_week;
    if not found then
        select * into v_week from public.weeks where id = p_week_id;
    end if;
    return v_week;
end
$$;

comment on function private.measure_week(uuid) is
    'Writes the completion of a week and, unless the person wrote them, its hours. Locks the week and returns it; '
    'null when it does not exist.';
