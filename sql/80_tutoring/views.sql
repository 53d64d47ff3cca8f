-- Analytics, computed when read. All run with the reader's rights: a view shows what the reader's policies show.

create view public.v_student_progress with (security_invoker = true) as
select
    g.student_id,
    g.id as goal_id,
    s.name as subject_name,
    private.goal_progress(g.id)::numeric(5, 2) as completion_percentage,
    coalesce(private.goal_streak(g.student_id, g.id), g.current_streak) as current_streak,
    g.xp_earned,
    g.status,
    g.target_completion_date,
    -- scalar subqueries, because a join of sessions with practice would multiply the counts
    (
        select count(*) from public.tutoring_sessions as x
        where
            x.student_id = g.student_id
            and (g.subject_id is null or x.subject_id = g.subject_id)
            and x.session_date <= now()
    ) as sessions_count,
    (
        select count(*) from public.practice_assignments as x
        where x.student_id = g.student_id and (g.subject_id is null or x.subject_id = g.subject_id) and x.completed
    ) as practice_items_completed,
    (
        select round(avg(x.rating), 2) from public.student_ratings as x
        where x.student_id = g.student_id and (g.subject_id is null or x.subject_id = g.subject_id)
    ) as average_rating
from public.goals as g
left join public.subjects as s on s.id = g.subject_id
where g.status = 'active';

comment on view public.v_student_progress is
    'One row per active goal with the work on it: sessions held, practice completed and average rating, in the '
    'goal''s subject or, without one, in all. Whoever sees the goal sees every row that is counted.';
comment on column public.v_student_progress.student_id is 'The student.';
comment on column public.v_student_progress.goal_id is 'The active goal.';
comment on column public.v_student_progress.subject_name is 'Its subject; null for a goal across subjects.';
comment on column public.v_student_progress.completion_percentage is 'How much is achieved now, 0 to 100.';
comment on column public.v_student_progress.current_streak is
    'Days of work on it in a row, as of now; what is stored when no day was ever counted.';
comment on column public.v_student_progress.xp_earned is 'Points earned by it.';
comment on column public.v_student_progress.status is 'Always active.';
comment on column public.v_student_progress.target_completion_date is 'The day by which to achieve it.';
comment on column public.v_student_progress.sessions_count is 'Sessions held so far.';
comment on column public.v_student_progress.practice_items_completed is 'Practice completed.';
comment on column public.v_student_progress.average_rating is 'Mean rating, two digits; null without any.';

create view public.v_override_analytics with (security_invoker = true) as
select
    o.override_type,
    o.subject_id,
    s.name as subject_name,
    o.difficulty_level,
    count(*) as override_count,
    count(distinct o.tutor_id) as unique_tutors,
    count(distinct o.student_id) as unique_students,
    (o.created_at at time zone 'UTC')::date as override_date
from public.overrides as o
left join public.subjects as s on s.id = o.subject_id
group by o.override_type, o.subject_id, s.name, o.difficulty_level, (o.created_at at time zone 'UTC')::date;

comment on view public.v_override_analytics is
    'Overrides per UTC day, type, subject and difficulty. Tutors see those of their students and their own; staff see '
    'all. Deleted accounts of tutors are not counted.';
comment on column public.v_override_analytics.override_type is 'What was corrected.';
comment on column public.v_override_analytics.subject_id is 'Its subject.';
comment on column public.v_override_analytics.subject_name is 'Name of the subject; names may repeat, ids do not.';
comment on column public.v_override_analytics.difficulty_level is 'Difficulty before the correction.';
comment on column public.v_override_analytics.override_count is 'The number of corrections.';
comment on column public.v_override_analytics.unique_tutors is 'The number of different tutors who corrected.';
comment on column public.v_override_analytics.unique_students is 'The number of different students concerned.';
comment on column public.v_override_analytics.override_date is 'Day, UTC.';

create view public.v_confidence_distribution with (security_invoker = true) as
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

comment on view public.v_confidence_distribution is
    'How confident the companion''s answers were, per student and level; a level without answers has no row. Complete '
    'for the student and for tutors of all subjects; other tutors see only the questions that were escalated to them.';
comment on column public.v_confidence_distribution.student_id is 'The student.';
comment on column public.v_confidence_distribution.confidence is 'The level.';
comment on column public.v_confidence_distribution.count is 'Answers of that level.';
comment on column public.v_confidence_distribution.percentage is 'Share of all answers of the student, two digits.';
