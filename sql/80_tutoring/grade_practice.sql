-- A tutor gives a score that was withheld, or corrects one. The correction joins the log, and everything that followed
-- from the old score is computed again: ratings, ability and points of that student. The item keeps what it learned.

create function private.replay_practice(p_student_id uuid, p_subject_id uuid)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_row record;
    v_step record;
    v_ability private.practice_ability;
    v_rated boolean;
    v_rating int;
    v_after int;
    v_stored int;
begin
    v_ability.theta := 0;
    v_ability.variance := 1;
    v_ability.answers := 0;
    for v_row in
        select a.*, g.score as counted
        from public.practice_attempts as a
        inner join private.graded_attempts as g on g.id = a.id
        where a.student_id = p_student_id and a.subject_id = p_subject_id
        order by a.seq
    loop
        v_rated := v_row.is_first and v_row.counted is not null;
        -- what else moved the rating between two answers stays
        v_rating := case
            when v_stored is null then v_row.rating_before
            else private.elo_moved(v_after, v_row.rating_before - v_stored)
        end;
        v_after := v_rating;
        v_stored := v_row.rating_after;
        v_step := private.ability_step(
            v_ability.theta, v_ability.variance, private.idle_days(v_ability.last_answer_at, v_row.recorded_at),
            v_row.b_before, v_row.item_variance_before, v_row.guess, v_row.counted
        );
        update public.practice_attempts set
            is_rated = v_rated, expected = v_step.expected,
            theta_before = v_ability.theta, variance_before = v_ability.variance,
            theta_after = case when v_rated then v_step.theta else v_ability.theta end,
            variance_after = case when v_rated then v_step.variance else v_ability.variance end,
            rating_before = v_rating
        where id = v_row.id;
        if v_rated then
            v_after := private.elo_moved(
                v_rating, 32 * (v_row.counted - private.elo_expected(v_rating, v_row.question_rating))
            );
            v_ability.theta := v_step.theta;
            v_ability.variance := v_step.variance;
            v_ability.answers := v_ability.answers + 1;
            v_ability.last_answer_at := v_row.recorded_at;
        end if;
        update public.practice_attempts set rating_after = v_after where id = v_row.id;
        update public.practice_assignments set student_rating_before = v_rating, student_rating_after = v_after
        where id = v_row.practice_assignment_id and completed;
    end loop;
    update private.practice_ability set
        theta = v_ability.theta, variance = v_ability.variance, answers = v_ability.answers,
        last_answer_at = v_ability.last_answer_at
    where student_id = p_student_id and subject_id = p_subject_id;
    update public.student_ratings
    set rating = private.elo_moved(rating, v_after - v_stored), last_updated = private.clock()
    where student_id = p_student_id and subject_id = p_subject_id and v_after <> v_stored;
    perform private.show_ability(p_student_id, p_subject_id);
end
$$;

comment on function private.replay_practice(uuid, uuid) is
    'Computes a student''s ratings and ability in a subject again, answer by answer, with the scores that count now. '
    'Without a correction since the last time it changes nothing.';

create function private.correct_xp(p_correction public.practice_attempts, p_goal_id uuid)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_difference int;
begin
    select coalesce(sum(x.amount), 0) into v_difference from private.practice_xp(
        p_correction.student_id, p_correction.bank_item_id, p_correction.practice_assignment_id
    ) as x;
    select v_difference - coalesce(sum(e.amount), 0) into v_difference
    from private.xp_events as e
    inner join public.practice_attempts as a on a.id::text = e.source_id
    where e.student_id = p_correction.student_id and a.student_id = p_correction.student_id
        and case
            when p_correction.bank_item_id is null
                then a.practice_assignment_id = p_correction.practice_assignment_id
            else a.bank_item_id = p_correction.bank_item_id
        end;
    perform private.add_xp(
        p_correction.student_id, p_goal_id, 'practice_correction', p_correction.id::text, v_difference
    );
end
$$;

comment on function private.correct_xp(public.practice_attempts, uuid) is
    'Adds the difference, often negative, between what the answers to an item are worth now and what was given.';

create function private.grade_practice(p_assignment_id uuid, p_score numeric, p_reason text)
returns public.practice_assignments
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_practice public.practice_assignments;
    v_attempt public.practice_attempts;
    v_override public.overrides;
    v_score constant numeric := round(p_score, 3);
begin
    v_override.tutor_id := private.require_caller();
    if num_nulls(p_assignment_id, p_score) > 0 then
        raise exception 'p_assignment_id and p_score are required' using errcode = '22004';
    end if;
    perform private.check_number('p_score', p_score, 0, 1);
    if char_length(p_reason) > 5000 then
        raise exception 'p_reason must have at most 5000 characters' using errcode = '22023';
    end if;
    select * into v_practice from public.practice_assignments
    where id = p_assignment_id and private.tutors(student_id, subject_id);
    if not found then
        raise exception 'only an active tutor of the student in this subject may grade this' using errcode = '42501';
    end if;
    perform private.lock_student(v_practice.student_id);
    select * into v_practice from public.practice_assignments where id = p_assignment_id for update;
    select * into v_attempt from public.practice_attempts
    where practice_assignment_id = p_assignment_id and corrects_id is null order by seq limit 1;
    if not found then
        raise exception 'this practice has no answer to grade' using errcode = '23514';
    end if;

    v_override.student_id := v_practice.student_id;
    v_override.override_type := 'practice';
    v_override.action := 'grade';
    v_override.practice_assignment_id := p_assignment_id;
    v_override.new_content := jsonb_build_object('performance_score', v_score);
    v_override.reason := p_reason;
    v_override.subject_id := v_practice.subject_id;
    v_override.difficulty_level := v_practice.difficulty_level;
    v_override := private.record_override(
        v_override, jsonb_build_object('performance_score', v_practice.performance_score)
    );
    return private.apply_grade(v_practice, v_attempt, v_override, v_score);
end
$$;

comment on function private.grade_practice(uuid, numeric, text) is 'Behind public.grade_practice().';

create function private.apply_grade(
    p_practice public.practice_assignments, p_attempt public.practice_attempts, p_override public.overrides,
    p_score numeric
)
returns public.practice_assignments
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_correction public.practice_attempts;
begin
    insert into public.practice_attempts (
        student_id, practice_assignment_id, corrects_id, subject_id, bank_item_id, item_version, raw_score, score,
        graded_by, feedback, idempotency_key, answered_at, recorded_at
    )
    values (
        p_attempt.student_id, p_practice.id, p_attempt.id, p_attempt.subject_id, p_attempt.bank_item_id,
        p_attempt.item_version, p_score, p_score, 'tutor', p_override.reason, 'override:' || p_override.id,
        p_attempt.answered_at, private.clock()
    )
    returning * into v_correction;
    update public.practice_assignments
    set review_state = 'reviewed', overridden = true, override_id = p_override.id
    where id = p_practice.id;
    if p_practice.completed then
        update public.practice_assignments set performance_score = p_score where id = p_practice.id;
    else
        perform private.complete_practice(p_practice.id, p_score, false);
    end if;
    if p_practice.subject_id is not null then
        perform private.replay_practice(p_practice.student_id, p_practice.subject_id);
    end if;
    if p_practice.bank_item_id is not null then
        perform private.ask_for_review(p_practice.id, p_practice.student_id);
    end if;
    perform private.correct_xp(v_correction, p_practice.goal_id);
    if p_practice.goal_id is not null then
        perform private.refresh_goal(p_practice.goal_id);
    end if;
    perform private.show_points(p_practice.student_id, s.length)
    from private.streak_of(
        p_practice.student_id, null, private.clock(), private.streak_zone(p_practice.student_id, private.clock())
    ) as s;
    select * into p_practice from public.practice_assignments where id = p_practice.id;
    return p_practice;
end
$$;

comment on function private.apply_grade(
    public.practice_assignments, public.practice_attempts, public.overrides, numeric
) is
    'Writes a tutor''s score and all that follows from it.';

create function public.grade_practice(p_assignment_id uuid, p_score numeric, p_reason text default null)
returns public.practice_assignments
language sql
volatile
set search_path = ''
begin atomic
    select private.grade_practice(p_assignment_id, p_score, p_reason);
end;

comment on function public.grade_practice(uuid, numeric, text) is
    'Gives a withheld score or corrects one, 0 to 1, for active tutors of student and subject, and records it as an '
    'override. The student''s ratings, ability and points are computed again from the log. 42501 for any other '
    'practice, existing or not; 23514 for one without an answer.';
