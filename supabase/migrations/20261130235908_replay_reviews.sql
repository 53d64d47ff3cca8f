-- A tutor's score also moves the review of the item: a job computes it again from the log of answers.
-- Touches: private.apply_grade. Undo: put the old function back, drop the new ones.

set lock_timeout = '5s';

create function private.ask_for_review(p_assignment_id uuid, p_student_id uuid)
returns void
-- plpgsql, because the queue is made later
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    -- a running job may have read the scores that were before, so only a waiting one is joined
    perform public.svc_enqueue_job(
        p_type => 'practice_grading',
        p_payload => jsonb_build_object('practice_assignment_id', p_assignment_id, 'is_replay', true),
        p_user_id => p_student_id, p_dedupe_key => 'review:' || p_assignment_id, p_dedupe_mode => 'queued'
    );
end
$$;

comment on function private.ask_for_review(uuid, uuid) is 'Enqueues the replay of a review.';

create function public.svc_get_item_answers(p_assignment_id uuid)
returns table (
    student_id uuid, bank_item_id uuid, last_seq bigint, answered_at timestamptz, is_pass boolean, is_right boolean
)
language sql
stable
security definer
set search_path = ''
as $$
    select
        g.student_id, g.bank_item_id,
        (
            select max(x.seq) from public.practice_attempts as x
            where x.student_id = a.student_id and x.bank_item_id = a.bank_item_id
        ),
        t.answered_at,
        g.score >= 0.6 and t.hints_used = 0,
        -- a tutor's score tells; else a hint caps the score and does not make the answer wrong
        case
            when exists (select from public.practice_attempts as x where x.corrects_id = t.id) then g.score
            else t.raw_score
        end >= 0.6
    from public.practice_assignments as a
    inner join private.graded_attempts as g on g.student_id = a.student_id and g.bank_item_id = a.bank_item_id
    inner join public.practice_attempts as t on t.id = g.id
    where a.id = p_assignment_id and g.score is not null
    order by g.seq;
$$;

comment on function public.svc_get_item_answers(uuid) is
    'The graded answers of a student to the bank item of one of their assignments, the oldest first, with the number '
    'of the last entry in the log.';

create function public.svc_replace_review(
    p_student_id uuid, p_bank_item_id uuid, p_last_seq bigint, p_review jsonb, p_reps int, p_lapses int
)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_new constant public.practice_reviews := jsonb_populate_record(null::public.practice_reviews, p_review);
begin
    if num_nulls(p_student_id, p_bank_item_id, p_last_seq, p_review, p_reps, p_lapses) > 0 then
        raise exception 'p_student_id, p_bank_item_id, p_last_seq, p_review, p_reps and p_lapses must not be null'
            using errcode = '22004';
    end if;
    perform private.lock_student(p_student_id);
    if p_last_seq is distinct from (
        select max(seq) from public.practice_attempts
        where student_id = p_student_id and bank_item_id = p_bank_item_id
    ) then
        raise exception 'the log of answers has changed' using errcode = 'PT409',
            hint = 'Read it again, compute the review and call again.';
    end if;
    insert into public.practice_reviews (
        student_id, bank_item_id, subject_id, state, step, stability, difficulty, due_at, last_review_at, reps, lapses,
        scheduler_version
    )
    values (
        p_student_id, p_bank_item_id,
        (select i.subject_id from public.practice_bank_items as i where i.id = p_bank_item_id),
        v_new.state, v_new.step, v_new.stability, v_new.difficulty, v_new.due_at, v_new.last_review_at, p_reps,
        p_lapses, v_new.scheduler_version
    )
    on conflict (student_id, bank_item_id) do update set
        state = excluded.state,
        step = excluded.step,
        stability = excluded.stability,
        difficulty = excluded.difficulty,
        due_at = excluded.due_at,
        last_review_at = excluded.last_review_at,
        reps = excluded.reps,
        lapses = excluded.lapses,
        scheduler_version = excluded.scheduler_version;
end
$$;

comment on function public.svc_replace_review(uuid, uuid, bigint, jsonb, int, int) is
    'Stores a review that was computed from the whole log. PT409 when another answer or correction has come, PT404 '
    'without the student.';

create or replace function private.apply_grade(
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

grant execute on function public.svc_get_item_answers(uuid) to service_role;

grant execute on function public.svc_replace_review(uuid, uuid, bigint, jsonb, int, int) to service_role;
