-- The question mark of any script counts as a question of the Socratic agent.
-- Touches: 70_programme. Undo: restore private.week_kpis() and private.count_socratic_questions() of the migrations before,
-- then drop private.has_question().

set lock_timeout = '5s';

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

create or replace function private.week_kpis(p_week public.weeks)
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

create or replace function private.count_socratic_questions(p_session_id uuid)
returns void
language sql
volatile
set search_path = ''
as $$
    update public.socratic_sessions as s set total_questions = c.questions
    from (
        select count(*)::int as questions from public.socratic_messages
        where session_id = p_session_id and role = 'assistant' and private.has_question(content)
    ) as c
    where s.id = p_session_id and s.total_questions <> c.questions;
$$;

comment on function private.count_socratic_questions(uuid) is
    'Sets total_questions of a session: the stored turns of the agent that ask. A turn asks one question.';
