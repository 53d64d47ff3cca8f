-- Figures that are derived from other rows and stored in user_stats, because front ends read them often.

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
begin
    if p_user_id is null then
        raise exception 'p_user_id must not be null' using errcode = '22004';
    end if;
    -- two refreshes of one person run one after the other, so that the later one stores the later figures
    perform from public.user_stats where user_id = p_user_id for update;
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
            from public.qa_interactions where student_id = p_user_id
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

    update public.user_stats
    set analytics = analytics || v_analytics, gamification = gamification || v_gamification
    where user_id = p_user_id;
end
$$;

comment on function public.refresh_user_stats(uuid) is
    'Recomputes override_count, confidence_distribution and nudge_engagement (percentages, 0 for none) of analytics, '
    'and xp (points with and without a goal) and streaks (the longest that lasts) of gamification; other keys stay.';
