-- Confidence is counted over answers that came to their end: one that is being written, was stopped or failed has none yet
-- and was counted as Low.
-- Touches: 80_tutoring. Undo: restore the view and the function of the migrations before. No row is lost.

set lock_timeout = '5s';

create or replace view public.v_confidence_distribution with (security_invoker = true) as
select
    c.student_id,
    c.confidence,
    c.count,
    round(100.0 * c.count / sum(c.count) over (partition by c.student_id), 2) as percentage
from (
    select q.student_id, q.confidence, count(*) as count
    from public.qa_interactions as q
    where q.status = 'complete'
    group by q.student_id, q.confidence
) as c;

create or replace function public.refresh_user_stats(p_user_id uuid)
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
