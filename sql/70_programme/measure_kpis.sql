-- The numbers of a week, kept as a history. docs/programme.md says what each of them means.

create function private.has_question(p_text text)
returns boolean
language sql
immutable
set search_path = ''
as $$
    -- the marks that functions/socratic/checking.py knows; Greek has the semicolon, Armenian a mark inside of a word
    select p_text ~ (
        '[?\uFF1F\u037E\u061F\u1367\u1945\u203D\u2047-\u2049\u2CFA\u2CFB\u2E2E]'
        || '|[\uA60F\uA6F7\uFE16\uFE56\U00011143\u055E]'
        || '|[\u0370-\u03FF\u1F00-\u1FFF]{2};'
    );
$$;

comment on function private.has_question(text) is 'Whether a text has the question mark of any script.';

create function private.week_kpis(p_week public.weeks)
returns table (nth int, name text, category text, value numeric, target numeric, unit text)
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_bounds constant tstzrange := private.week_bounds(p_week);
begin
    return query
    select 1, 'hours_worked', 'effort', private.week_hours(p_week), p_week.estimated_hours::numeric, 'hours'
    union all
    select 2, 'completion', 'progress', private.week_completion(p_week)::numeric, null::numeric, '%'
    union all
    select 3, 'questions_asked', 'dialogue', count(*)::numeric, null, 'count'
    from public.socratic_messages as m
    join public.socratic_sessions as s on s.id = m.session_id
    where s.week_id = p_week.id and m.role = 'assistant' and private.has_question(m.content)
    union all
    select 4, 'practice_accuracy', 'practice', round(100 * avg(a.performance_score), 1), null, '%'
    from public.practice_assignments as a
    where a.student_id = p_week.user_id and a.completed and a.completed_at <@ v_bounds
    having count(*) > 0
    union all
    (
        select 5, 'code_quality', 'code', (r.result_json -> 'score')::numeric, null, 'points'
        from public.reviews as r
        where r.week_id = p_week.id and r.status = 'completed' and jsonb_typeof(r.result_json -> 'score') = 'number'
        order by r.completed_at desc, r.id
        limit 1
    )
    union all
    select 6, 'study_blocks_kept', 'effort',
        round(100.0 * count(*) filter (where b.status = 'completed') / count(*), 1), null, '%'
    from public.study_blocks as b
    where b.user_id = p_week.user_id and b.start_at <@ v_bounds
        and (
            b.status in ('completed', 'missed')
            or (b.status in ('planned', 'in_progress') and b.end_at < private.clock())
        )
    having count(*) > 0;
end
$$;

comment on function private.week_kpis(public.weeks) is
    'What is measured of a week, now. A mean or share of nothing gives no row.';

create function public.svc_measure_kpis(
    p_week_id uuid, p_user_id uuid default null, p_recorded_at timestamptz default null
)
returns setof public.kpi_metrics
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_at constant timestamptz := coalesce(p_recorded_at, private.clock());
    v_week public.weeks;
    v_before uuid;
begin
    if p_week_id is null then
        raise exception 'p_week_id must not be null' using errcode = '22004';
    end if;
    perform private.check_time('p_recorded_at', p_recorded_at);
    if exists (select from public.weeks where id = p_week_id and user_id = coalesce(p_user_id, user_id)) then
        v_week := private.measure_week(p_week_id);
    end if;
    if v_week.id is null then
        raise exception 'no week has the id in p_week_id' using errcode = 'PT404';
    end if;
    if v_week.status = 'archived' then
        raise exception 'the week is archived' using errcode = 'PT409';
    end if;
    select id into v_before from public.weeks
    where user_id = v_week.user_id and week_number < v_week.week_number order by week_number desc limit 1;
    return query
    with measured as materialized (
        select
            k.*,
            coalesce(
                (
                    select m.current_value from public.kpi_metrics as m
                    where m.week_id = v_week.id and m.metric_name = k.name and m.recorded_at < v_at
                    order by m.recorded_at desc limit 1
                ),
                (
                    select m.current_value from public.kpi_metrics as m
                    where m.week_id = v_before and m.metric_name = k.name order by m.recorded_at desc limit 1
                )
            ) as previous
        from private.week_kpis(v_week) as k
    ),

    written as (
        insert into public.kpi_metrics as m (
            week_id, user_id, metric_name, metric_category, current_value, target_value, previous_value, unit,
            recorded_at
        )
        select v_week.id, v_week.user_id, k.name, k.category, k.value, k.target, k.previous, k.unit, v_at
        from measured as k
        on conflict (week_id, metric_name, recorded_at) do update
        set current_value = excluded.current_value, target_value = excluded.target_value,
            previous_value = excluded.previous_value
        returning m.*
    )

    select w.* from written as w join measured as k on k.name = w.metric_name order by k.nth;
end
$$;

comment on function public.svc_measure_kpis(uuid, uuid, timestamptz) is
    'Measures a week now and returns the new rows of kpi_metrics. previous_value is the newest earlier value of the '
    'week, else the newest of the week before. The same p_recorded_at writes the same rows again. PT404 when the week '
    'does not exist or is not p_user_id''s, PT409 when it is archived.';
