-- Figures that are derived from other rows and stored in user_stats, because front ends read them often.

create function private.badges_of(p_user_id uuid, p_streak int)
returns jsonb
language sql
stable
security definer
set search_path = ''
as $$
    select to_jsonb(array_remove(array[
        case when a.answers >= 1 then 'first_answer' end,
        case when a.answers >= 100 then 'answers_100' end,
        case when p_streak >= 7 then 'streak_7' end,
        case when p_streak >= 30 then 'streak_30' end,
        case
            when exists (select from public.goals where student_id = p_user_id and status = 'completed')
                then 'goal_completed'
        end
    ], null))
    from (
        select count(*) as answers from public.practice_attempts where student_id = p_user_id and corrects_id is null
    ) as a;
$$;

comment on function private.badges_of(uuid, int) is
    'The badges for which a student does enough now; those that they have already are kept by whoever stores them.';

create function public.refresh_user_stats(p_user_id uuid)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_analytics jsonb;
    v_gamification jsonb;
    v_known jsonb;
begin
    if p_user_id is null then
        raise exception 'p_user_id must not be null' using errcode = '22004';
    end if;
    -- two refreshes of one person run one after the other, so that the later one stores the later figures
    select gamification -> 'badges' into v_known from public.user_stats where user_id = p_user_id for update;
    if not found then
        raise exception 'no person has the id in p_user_id' using errcode = 'PT404';
    end if;

    select jsonb_build_object(
        'override_count', (select count(*) from public.overrides where student_id = p_user_id),
        'confidence_distribution', (
            select jsonb_build_object(
                'High', coalesce(
                    round(100.0 * count(*) filter (where confidence = 'High') / nullif(count(*), 0), 2), 0
                ),
                'Medium', coalesce(
                    round(100.0 * count(*) filter (where confidence = 'Medium') / nullif(count(*), 0), 2), 0
                ),
                'Low', coalesce(
                    round(100.0 * count(*) filter (where confidence = 'Low') / nullif(count(*), 0), 2), 0
                )
            )
            from public.qa_interactions where student_id = p_user_id and status = 'complete'
        ),
        'nudge_engagement', (
            select jsonb_build_object(
                'opened', coalesce(round(100.0 * count(opened_at) / nullif(count(*), 0), 2), 0),
                'clicked', coalesce(round(100.0 * count(clicked_at) / nullif(count(*), 0), 2), 0)
            )
            from public.nudges where user_id = p_user_id and sent_at is not null
        )
    ) into v_analytics;
    select jsonb_build_object(
        'xp', coalesce(sum(xp_earned), 0) + (
            select coalesce(sum(amount), 0) from private.xp_events
            where student_id = p_user_id and goal_id is null
        ),
        'streaks', greatest(coalesce(max(current_streak), 0), (
            select s.length from private.streak_of(
                p_user_id, null, private.clock(), private.streak_zone(p_user_id, private.clock())
            ) as s
        ))
    ) into v_gamification
    from public.goals where student_id = p_user_id;
    -- a badge that was earned stays, also when the streak ends
    select v_gamification || jsonb_build_object('badges', coalesce(jsonb_agg(b.badge order by b.badge), '[]'))
    into v_gamification
    from (
        select x.badge from jsonb_array_elements(
            private.badges_of(p_user_id, (v_gamification ->> 'streaks')::int)
            || case when jsonb_typeof(v_known) = 'array' then v_known else '[]' end
        ) as x (badge)
        group by x.badge
    ) as b;

    update public.user_stats
    set analytics = analytics || v_analytics, gamification = gamification || v_gamification
    where user_id = p_user_id;
end
$$;

comment on function public.refresh_user_stats(uuid) is
    'Recomputes override_count, confidence_distribution and nudge_engagement (percentages, 0 for none) of analytics, '
    'and xp (points with and without a goal), streaks (the longest that lasts) and badges of gamification; other keys '
    'stay.';

create function public.svc_refresh_stats(p_after uuid default null, p_limit int default 50)
returns table (last_id uuid, people int)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
    last_id := null;
    people := 0;
    perform private.check_number('p_limit', p_limit, 1, 1000);
    for last_id in
        select s.user_id
        from public.user_stats as s
        inner join public.profiles as p on p.user_id = s.user_id
        where p.role = 'student' and (p_after is null or s.user_id > p_after)
        order by s.user_id limit p_limit
        for update of s
    loop
        perform public.refresh_user_stats(last_id);
        people := people + 1;
    end loop;
    return next;
end
$$;

comment on function public.svc_refresh_stats(uuid, int) is
    'Refreshes the stored figures of the next students after p_after, 1 to 1000 in order of their ids. last_id is the '
    'one to go on from; it is null when none was left.';
