-- Answers that wait for their grade: a tutor cannot exchange their question, and when their job failed or was cancelled
-- they may be given again. The wished chance of success is drawn more narrowly, and found in five answers.
-- Touches: private.has_waiting_answer (new), private.open_practice, private.override_practice,
--   private.wished_success, private.pick_item.
-- Undo: put the four functions of 20261129120002_create_practice.sql and of the first override back, drop the new one.

set lock_timeout = '5s';

create function private.has_waiting_answer(p_assignment_id uuid)
returns boolean
-- plpgsql, because the queue is made in a later room
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    return exists (
        select from private.practice_submissions as s
        inner join public.jobs as j on j.id = s.job_id
        where s.practice_assignment_id = p_assignment_id and j.status in ('queued', 'running')
    );
end
$$;

comment on function private.has_waiting_answer(uuid) is
    'Whether an answer in words is being graded; one whose job failed or was cancelled may be given again.';

create or replace function private.open_practice(p_student_id uuid, p_subject_id uuid, p_count int, p_topic_tags text[])
returns uuid[]
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    -- an item that was edited is asked as it is now
    update public.practice_assignments as a set
        bank_item_version = i.version,
        difficulty_level = i.difficulty_level,
        answer_kind = i.answer_kind,
        choices = i.choices
    from public.practice_bank_items as i
    where a.student_id = p_student_id and a.subject_id = p_subject_id and not a.completed
        and i.id = a.bank_item_id and i.version <> a.bank_item_version and a.review_state <> 'needs_review'
        and not private.has_waiting_answer(a.id);
    return array(
        select a.id
        from public.practice_assignments as a
        left join public.practice_bank_items as i on i.id = a.bank_item_id
        where a.student_id = p_student_id and a.subject_id = p_subject_id and not a.completed
            and a.review_state <> 'needs_review'
            and (p_topic_tags is null or i.topic_tags && p_topic_tags)
            and case a.source
                when 'bank' then i.is_active
                    and exists (select from public.practice_bank_answers as k where k.item_id = i.id)
                -- a tutor refused it
                else not (a.flagged and a.review_state = 'reviewed')
                    and exists (
                        select from public.practice_assignment_answers as k where k.practice_assignment_id = a.id
                    )
            end
            and not private.has_waiting_answer(a.id)
        order by a.is_review desc, a.assigned_at, a.id limit p_count
    );
end
$$;

comment on function private.open_practice(uuid, uuid, int, text[]) is
    'Assignments of a student that can be answered now, reviews first, the oldest first.';

create or replace function private.wished_success(p_seed bigint, p_slot int, p_is_placement boolean)
returns double precision
language sql
immutable
set search_path = ''
as $$
    select case
        when p_is_placement then 0.6
        -- a wider spread would ask every second question outside of .65 to .85
        else greatest(0.55, least(0.95, 0.75 + 0.08
            * sqrt(-2 * ln(private.seeded(p_seed, p_slot || ':radius')))
            * cos(2 * pi() * private.seeded(p_seed, p_slot || ':angle'))))
    end;
$$;

comment on function private.wished_success(bigint, int, boolean) is
    'How likely the student should be to solve the next item: .6 while their ability is unknown, then drawn around '
    '.75.';

create or replace function private.pick_item(
    p_student_id uuid, p_subject_id uuid, p_topic_tags text[], p_seed bigint, p_slot int,
    out item_id uuid, out success double precision
)
language plpgsql
stable
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_ability private.practice_ability;
    v_theta double precision;
    v_wish double precision;
begin
    select * into v_ability from private.practice_ability
    where student_id = p_student_id and subject_id = p_subject_id;
    v_theta := coalesce(v_ability.theta, 0);
    if private.seeded(p_seed, p_slot || ':calibration') < 0.05 then
        -- some items are taken at random, or those that seem too hard would never be found to be easy
        select c.item_id, c.success into item_id, success
        from private.practice_candidates(p_student_id, p_subject_id, p_topic_tags, v_theta) as c
        where abs(c.b - v_theta) * private.points_per_logit() <= 300
        order by private.seeded(p_seed, c.item_id::text) limit 1;
        if found then
            return;
        end if;
    end if;
    v_wish := private.wished_success(
        p_seed, p_slot,
        coalesce(v_ability.answers, 0) < 5
        and private.points_per_logit() * sqrt(coalesce(v_ability.variance, 1)) >= 100
    );
    select x.item_id, x.success into item_id, success
    from (
        select * from private.practice_candidates(p_student_id, p_subject_id, p_topic_tags, v_theta) as c
        order by abs(c.success - v_wish) fetch first 1 rows with ties
    ) as x
    order by private.seeded(p_seed, x.item_id::text) limit 1;
end
$$;

comment on function private.pick_item(uuid, uuid, text[], bigint, int) is
    'The unseen item whose chance of success is nearest to the wish; one pick of twenty is random within 300 points. '
    'Ties are broken by the seed. Nulls when every item was seen.';

create or replace function private.override_practice(p_target_id uuid, p_override public.overrides)
returns public.overrides
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_practice public.practice_assignments;
begin
    select * into v_practice from public.practice_assignments
    where id = p_target_id and private.tutors(student_id, subject_id) for no key update;
    if not found then
        raise exception 'only an active tutor of the student in this subject may correct this' using errcode = '42501';
    end if;
    if v_practice.completed then
        raise exception 'this practice is completed' using errcode = '23514';
    end if;
    -- the answer was given to the question as it is
    if v_practice.review_state = 'needs_review' or private.has_waiting_answer(p_target_id) then
        raise exception 'this practice is answered and waits for its grade' using errcode = '23514';
    end if;
    p_override.student_id := v_practice.student_id;
    p_override.practice_assignment_id := p_target_id;
    p_override.subject_id := v_practice.subject_id;
    p_override.difficulty_level := v_practice.difficulty_level;
    if v_practice.source = 'bank' then
        return private.override_bank_practice(v_practice, p_override);
    end if;
    return private.override_ai_practice(v_practice, p_override);
end
$$;

comment on function private.override_practice(uuid, public.overrides) is
    'Corrects an open practice assignment, for a tutor of its student in its subject.';
