-- One answer, and all that it moves, in one transaction: attempt, completion, Elo ratings, ability, item, review,
-- points, streak and goal. Lock order: the student's row of user_stats, practice assignment, rating, bank item, its
-- calibration, goal. Scores, ratings and correctness are computed by the service and here, never taken from a client.

create function private.practice_result(p_practice public.practice_assignments, p_attempt public.practice_attempts)
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_last public.practice_attempts;
    v_answer text;
    v_explanation text;
    v_citations jsonb;
begin
    -- the last correction, else the answer itself
    select * into v_last from public.practice_attempts
    where p_attempt.id in (id, corrects_id) order by seq desc limit 1;
    if p_practice.completed then
        select answer_text, explanation into v_answer, v_explanation
        from public.practice_bank_answers where item_id = p_practice.bank_item_id
        union all
        select ai_answer_text, ai_explanation
        from public.practice_assignment_answers
        where practice_assignment_id = p_practice.id and p_practice.bank_item_id is null;
        select citations into v_citations
        from public.practice_assignment_answers where practice_assignment_id = p_practice.id;
    end if;
    return jsonb_build_object(
        'assignment_id', p_practice.id,
        'needs_review', p_practice.review_state = 'needs_review',
        'score', p_practice.performance_score,
        'correct', case when v_last.corrects_id is null then v_last.raw_score else v_last.score end >= 0.6,
        'graded_by', v_last.graded_by,
        'feedback', coalesce(v_last.feedback, p_attempt.feedback),
        'answer_text', v_answer,
        'explanation', v_explanation,
        'citations', coalesce(v_citations, '[]'),
        'rating_before', p_practice.student_rating_before,
        'rating_after', p_practice.student_rating_after,
        'ability', 1000 + private.points_per_logit() * p_attempt.theta_after,
        'ability_sd', private.points_per_logit() * sqrt(p_attempt.variance_after),
        'calibrating', private.points_per_logit() * sqrt(p_attempt.variance_after) > 100,
        'xp', 0, 'streak', null, 'goal_progress', null, 'next_review_at', null
    ) || coalesce(p_attempt.outcome, '{}');
end
$$;

comment on function private.practice_result(public.practice_assignments, public.practice_attempts) is
    'What a student is told about an answer; with nulls for what nobody knows of a completion without an answer.';

create function private.check_answer(
    p_student_id uuid, p_assignment_id uuid, p_key text, p_answer text, p_duration_ms int, p_answered_at timestamptz
)
returns void
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    perform private.check_time('p_answered_at', p_answered_at);
    if num_nulls(p_student_id, p_assignment_id, p_key, p_answer) > 0 then
        raise exception 'p_student_id, p_assignment_id, p_key and p_answer must not be null' using errcode = '22004';
    end if;
    if char_length(p_key) not between 8 and 255 then
        raise exception 'p_key must have 8 to 255 characters' using errcode = '22023';
    end if;
    if char_length(p_answer) not between 1 and 10000 or btrim(p_answer) = '' then
        raise exception 'p_answer must have 1 to 10000 characters' using errcode = '22023';
    end if;
    perform private.check_number('p_duration_ms', p_duration_ms, 0, 86400000);
    if p_answered_at not between private.clock() - interval '48 hours' and private.clock() + interval '5 minutes' then
        raise exception 'p_answered_at must be in the last 48 hours' using errcode = '22023';
    end if;
end
$$;

comment on function private.check_answer(uuid, uuid, text, text, int, timestamptz) is
    'Refuses an answer that cannot be recorded: 22004, 22023 or 22003.';

create function private.known_answer(
    p_student_id uuid, p_assignment_id uuid, p_key text, p_answer text, out practice public.practice_assignments,
    out attempt public.practice_attempts
)
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_same boolean;
begin
    select * into attempt from public.practice_attempts
    where student_id = p_student_id and idempotency_key = p_key;
    v_same := case
        when found then
            (attempt.practice_assignment_id, attempt.answer) is not distinct from (p_assignment_id, p_answer)
        else (
            select (practice_assignment_id, answer) = (p_assignment_id, p_answer) from private.practice_submissions
            where student_id = p_student_id and idempotency_key = p_key
        )
    end;
    if not v_same then
        raise exception 'p_key was used for another answer' using errcode = 'PT422';
    end if;
    select * into practice from public.practice_assignments
    where id = p_assignment_id and student_id = p_student_id for update;
    if not found then
        raise exception 'this student has no practice with the id in p_assignment_id' using errcode = 'PT404';
    end if;
    if attempt.id is null and (practice.completed or practice.review_state = 'needs_review') then
        select * into attempt from public.practice_attempts
        where practice_assignment_id = p_assignment_id and corrects_id is null order by seq limit 1;
    end if;
    if attempt.id is null and not practice.completed and private.is_refused(practice) then
        raise exception 'a tutor has withdrawn this question' using errcode = 'PT409',
            hint = 'Ask for the next practice.';
    end if;
end
$$;

comment on function private.known_answer(uuid, uuid, text, text) is
    'Locks the assignment and finds the answer that was recorded for it or for the key. PT404 for practice of others, '
    'PT409 for a question that a tutor refused, PT422 for a key that another answer used.';

create function private.rate_answer(p_practice public.practice_assignments, p_attempt public.practice_attempts)
returns public.practice_attempts
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_item public.practice_bank_items;
    v_calibration private.item_calibration;
    v_ability private.practice_ability;
    v_step record;
begin
    if p_attempt.subject_id is null then
        return p_attempt;
    end if;
    insert into public.student_ratings (student_id, subject_id) values (p_attempt.student_id, p_attempt.subject_id)
    on conflict (student_id, subject_id) do nothing;
    select rating into p_attempt.rating_before from public.student_ratings
    where student_id = p_attempt.student_id and subject_id = p_attempt.subject_id for update;
    insert into private.practice_ability (student_id, subject_id) values (p_attempt.student_id, p_attempt.subject_id)
    on conflict (student_id, subject_id) do nothing;
    select * into v_ability from private.practice_ability
    where student_id = p_attempt.student_id and subject_id = p_attempt.subject_id;
    p_attempt.rating_after := p_attempt.rating_before;
    p_attempt.theta_before := v_ability.theta;
    p_attempt.variance_before := v_ability.variance;
    p_attempt.theta_after := v_ability.theta;
    p_attempt.variance_after := v_ability.variance;
    if p_practice.source <> 'bank' then
        return p_attempt;
    end if;

    select * into v_item from public.practice_bank_items where id = p_practice.bank_item_id for no key update;
    if v_item.version <> p_practice.bank_item_version then
        raise exception 'the item was changed since it was asked' using errcode = 'PT409';
    end if;
    v_calibration := private.calibrated_item(v_item);
    p_attempt.question_rating := v_item.elo_rating;
    p_attempt.guess := coalesce(1.0 / cardinality(v_item.choices), 0);
    p_attempt.b_before := v_calibration.b;
    p_attempt.item_variance_before := v_calibration.variance;
    p_attempt.is_first := not exists (
        select from public.practice_attempts
        where student_id = p_attempt.student_id and bank_item_id = v_item.id and item_version = v_item.version
    );
    p_attempt.is_rated := p_attempt.is_first and p_attempt.score is not null;
    v_step := private.ability_step(
        v_ability.theta, v_ability.variance, private.idle_days(v_ability.last_answer_at, p_attempt.recorded_at),
        v_calibration.b, v_calibration.variance, p_attempt.guess, p_attempt.score
    );
    p_attempt.expected := v_step.expected;
    if p_attempt.is_rated then
        p_attempt.theta_after := v_step.theta;
        p_attempt.variance_after := v_step.variance;
        update private.item_calibration set b = v_step.b, variance = v_step.item_variance, answers = answers + 1
        where item_id = v_item.id;
    end if;
    return p_attempt;
end
$$;

comment on function private.rate_answer(public.practice_assignments, public.practice_attempts) is
    'Fills an attempt''s columns of ratings, and moves the item. Only the first answer to a version of a bank item, '
    'and only with a score, moves anything. PT409 when the item was changed since it was asked.';

create function private.store_ability(p_attempt public.practice_attempts)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if not p_attempt.is_rated then
        return;
    end if;
    update private.practice_ability set
        theta = p_attempt.theta_after,
        variance = p_attempt.variance_after,
        answers = answers + 1,
        last_answer_at = p_attempt.recorded_at
    where student_id = p_attempt.student_id and subject_id = p_attempt.subject_id;
    perform private.show_ability(p_attempt.student_id, p_attempt.subject_id);
end
$$;

comment on function private.store_ability(public.practice_attempts) is
    'Stores what a rated answer made of the ability.';

create function private.show_ability(p_student_id uuid, p_subject_id uuid)
returns void
language sql
volatile
security definer
set search_path = ''
as $$
    update public.student_ratings as r set
        ability = case when a.answers > 0 then 1000 + private.points_per_logit() * a.theta end,
        ability_sd = case when a.answers > 0 then private.points_per_logit() * sqrt(a.variance) end,
        answers = a.answers
    from private.practice_ability as a
    where r.student_id = p_student_id and r.subject_id = p_subject_id
        and a.student_id = p_student_id and a.subject_id = p_subject_id;
$$;

comment on function private.show_ability(uuid, uuid) is 'Copies an ability, in points, to where people read it.';

create function private.reward_answer(p_practice public.practice_assignments, p_attempt public.practice_attempts)
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_zone text;
    v_streak record;
    v_xp int;
    v_percentage numeric;
begin
    v_zone := private.settle_timezone(p_attempt.student_id, p_attempt.answered_at);
    perform private.credit_day(p_attempt.student_id, null, p_attempt.answered_at, v_zone);
    select x.amount into v_xp from private.practice_xp(
        p_attempt.student_id, p_attempt.bank_item_id, p_attempt.practice_assignment_id
    ) as x where x.attempt_id = p_attempt.id;
    perform private.add_xp(p_attempt.student_id, p_practice.goal_id, 'practice', p_attempt.id::text, v_xp);
    if p_practice.goal_id is not null then
        perform private.credit_day(p_attempt.student_id, p_practice.goal_id, p_attempt.answered_at, v_zone);
        v_percentage := private.refresh_goal(p_practice.goal_id);
    end if;
    select * into v_streak from private.streak_of(p_attempt.student_id, null, private.clock(), v_zone);
    perform private.show_points(p_attempt.student_id, v_streak.length);
    return jsonb_build_object(
        'xp', v_xp,
        'streak', jsonb_build_object(
            'length', v_streak.length, 'state', v_streak.state, 'freezes_left', v_streak.freezes_left
        ),
        'goal_progress', case when p_practice.goal_id is not null then jsonb_build_object(
            'goal_id', p_practice.goal_id, 'completion_percentage', v_percentage
        ) end
    );
end
$$;

comment on function private.reward_answer(public.practice_assignments, public.practice_attempts) is
    'Counts the day, adds the points and brings goal and totals in line; returns what the student is told of it.';

create function private.refresh_goal(p_goal_id uuid)
returns numeric
language sql
volatile
security definer
set search_path = ''
as $$
    update public.goals as g set
        current_streak = coalesce(private.goal_streak(g.student_id, g.id), g.current_streak),
        xp_earned = greatest(
            0, coalesce((select sum(x.amount) from private.xp_events as x where x.goal_id = g.id), g.xp_earned)
        ),
        completion_percentage = private.goal_progress(g.id)
    where g.id = p_goal_id
    returning g.completion_percentage;
$$;

comment on function private.refresh_goal(uuid) is
    'Writes streak, points and progress of a goal from what they follow from; returns the percentage.';

create function private.show_points(p_student_id uuid, p_streak int)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_xp int;
begin
    select coalesce(sum(amount), 0) into v_xp from private.xp_events where student_id = p_student_id;
    update public.user_stats set gamification = gamification || jsonb_build_object(
        'xp', v_xp, 'level', 1 + floor(sqrt(greatest(0, v_xp) / 100.0)), 'streaks', p_streak
    )
    where user_id = p_student_id;
end
$$;

comment on function private.show_points(uuid, int) is
    'Writes xp, level and streaks of a student; the level is 1 and the root of a hundredth of the points.';

create function private.ask_tutors(p_practice public.practice_assignments)
returns void
language sql
volatile
security definer
set search_path = ''
as $$
    insert into public.notifications (user_id, type, status, title, body, payload, created_at)
    select distinct
        a.tutor_id, 'system'::public.notification_type, 'sent'::public.notification_status, 'An answer waits for you',
        'A student''s answer could not be graded with confidence. Read it and give it a score.',
        jsonb_build_object('practice_assignment_id', p_practice.id, 'student_id', p_practice.student_id),
        private.clock()
    from private.current_assignments as a
    where a.student_id = p_practice.student_id and a.status = 'active'
        and (a.subject_id is null or a.subject_id = p_practice.subject_id);
$$;

comment on function private.ask_tutors(public.practice_assignments) is
    'Tells the tutors of student and subject that a score is withheld.';

create function private.complete_answer(
    p_practice public.practice_assignments, p_attempt public.practice_attempts, p_review jsonb, p_seen timestamptz
)
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_due timestamptz;
    v_outcome jsonb;
begin
    if p_attempt.score is null then
        update public.practice_assignments set review_state = 'needs_review' where id = p_practice.id
        returning * into p_practice;
        perform private.ask_tutors(p_practice);
    else
        p_practice := private.complete_practice(p_practice.id, p_attempt.score, p_attempt.is_rated);
        p_attempt.rating_after := p_practice.student_rating_after;
        perform private.store_ability(p_attempt);
    end if;
    insert into public.practice_attempts overriding user value select p_attempt.*
    returning * into p_attempt;
    if p_review is not null and p_practice.bank_item_id is not null and p_attempt.score is not null then
        v_due := private.put_review(
            p_attempt.student_id, p_practice.bank_item_id, p_review, p_seen, p_attempt.raw_score >= 0.6
        );
    elsif p_practice.reviewed_at is not null and p_practice.bank_item_id is not null
        and p_attempt.score is not null then
        -- a tutor took the question into the bank after the service had read it, so a job computes the review
        perform private.ask_for_review(p_practice.id, p_attempt.student_id);
    end if;
    v_outcome := private.reward_answer(p_practice, p_attempt)
        || jsonb_build_object('next_review_at', to_char(v_due at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'));
    update public.practice_attempts set outcome = v_outcome where id = p_attempt.id returning * into p_attempt;
    return private.practice_result(p_practice, p_attempt);
end
$$;

comment on function private.complete_answer(
    public.practice_assignments, public.practice_attempts, jsonb, timestamptz
) is
    'Writes an answer that was rated, and what follows from it; returns what the student is told.';

create function public.svc_record_answer(
    p_student_id uuid,
    p_assignment_id uuid,
    p_key text,
    p_answer text,
    p_score numeric,
    p_graded_by text,
    p_feedback text default null,
    p_confidence numeric default null,
    p_duration_ms int default null,
    p_answered_at timestamptz default null,
    p_review jsonb default null,
    p_review_seen timestamptz default null
)
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_known record;
    v_practice public.practice_assignments;
    v_attempt public.practice_attempts;
    v_waiting private.practice_submissions;
begin
    perform private.check_number('p_score', p_score, 0, 1);
    perform private.check_number('p_confidence', p_confidence, 0, 1);
    perform private.check_time('p_review_seen', p_review_seen);
    perform private.check_time('p_answered_at', p_answered_at);
    select * into v_waiting from private.practice_submissions
    where practice_assignment_id = p_assignment_id and student_id = p_student_id and idempotency_key = p_key;
    -- what waited for the model was in time when it was sent
    perform private.check_answer(
        p_student_id, p_assignment_id, p_key, p_answer, p_duration_ms,
        case when v_waiting.idempotency_key is null then p_answered_at end
    );
    if p_graded_by is null or p_graded_by not in ('rule', 'model') then
        raise exception 'p_graded_by must be rule or model' using errcode = '22023';
    end if;
    perform private.lock_student(p_student_id);
    select * into v_known from private.known_answer(p_student_id, p_assignment_id, p_key, p_answer);
    v_practice := v_known.practice;
    v_attempt := v_known.attempt;
    if v_attempt.id is not null or v_practice.completed then
        return private.practice_result(v_practice, v_attempt);
    end if;
    delete from private.practice_submissions where practice_assignment_id = p_assignment_id;

    v_attempt := jsonb_populate_record(null::public.practice_attempts, jsonb_build_object(
        'id', gen_random_uuid(), 'student_id', p_student_id, 'practice_assignment_id', p_assignment_id,
        'subject_id', v_practice.subject_id, 'bank_item_id', v_practice.bank_item_id,
        'item_version', v_practice.bank_item_version, 'answer', p_answer, 'raw_score', round(p_score, 3),
        -- a hint is half of the answer
        'score', case when v_practice.hints_used > 0 then least(0.5, round(p_score, 3)) else round(p_score, 3) end,
        'graded_by', p_graded_by, 'feedback', p_feedback, 'confidence', round(p_confidence, 2),
        'hints_used', v_practice.hints_used, 'duration_ms', coalesce(p_duration_ms, v_waiting.duration_ms),
        'idempotency_key', p_key,
        'answered_at', least(private.clock(), coalesce(v_waiting.answered_at, p_answered_at, private.clock())),
        'recorded_at', private.clock(), 'created_at', now(), 'is_first', false, 'is_rated', false,
        'outcome', '{}'::jsonb,
        'is_on_time', v_practice.is_review and private.is_on_time(
            p_student_id, v_practice.bank_item_id, coalesce(v_waiting.answered_at, p_answered_at, private.clock())
        )
    ));
    v_attempt := private.rate_answer(v_practice, v_attempt);
    return private.complete_answer(v_practice, v_attempt, p_review, p_review_seen);
end
$$;

comment on function public.svc_record_answer(
    uuid, uuid, text, text, numeric, text, text, numeric, int, timestamptz, jsonb, timestamptz
) is
    'Records an answer and all that it moves, once; returns what the student is told. Without p_score the score is '
    'withheld until a tutor gives it. The stored result for a known key or an answered assignment. PT404 for practice '
    'of others, PT409 for an item or review that changed meanwhile, PT422 for a key of another answer.';

create function private.is_on_time(p_student_id uuid, p_bank_item_id uuid, p_at timestamptz)
returns boolean
language sql
stable
security definer
set search_path = ''
as $$
    select coalesce(
        (p_at at time zone z.zone)::date - (r.due_at at time zone z.zone)::date between 0 and 1, false
    )
    from (select private.streak_zone(p_student_id, p_at) as zone) as z
    left join public.practice_reviews as r on r.student_id = p_student_id and r.bank_item_id = p_bank_item_id;
$$;

comment on function private.is_on_time(uuid, uuid, timestamptz) is
    'Whether an item is due on the local day of an instant, or was on the day before.';

create function private.settle_timezone(p_student_id uuid, p_at timestamptz)
returns text
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_zone constant text := private.streak_zone(p_student_id, p_at);
begin
    update public.profiles set pending_timezone = null
    where user_id = p_student_id and pending_timezone is not null and timezone_changed_at <= private.clock();
    return v_zone;
end
$$;

comment on function private.settle_timezone(uuid, timestamptz) is
    'private.streak_zone(), after which a zone whose midnight came is no longer pending.';

create function public.svc_submit_answer(
    p_student_id uuid,
    p_assignment_id uuid,
    p_key text,
    p_answer text,
    p_duration_ms int default null,
    p_answered_at timestamptz default null
)
returns table (job_id uuid, result jsonb)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_known record;
    v_job uuid;
begin
    perform private.check_answer(p_student_id, p_assignment_id, p_key, p_answer, p_duration_ms, p_answered_at);
    perform private.lock_student(p_student_id);
    select * into v_known from private.known_answer(p_student_id, p_assignment_id, p_key, p_answer);
    if (v_known.attempt).id is not null or (v_known.practice).completed then
        return query select null::uuid, private.practice_result(v_known.practice, v_known.attempt);
        return;
    end if;
    select s.job_id into v_job
    from private.practice_submissions as s
    inner join public.jobs as j on j.id = s.job_id
    where s.practice_assignment_id = p_assignment_id and j.status in ('queued', 'running');
    if v_job is null then
        select e.job_id into v_job from public.svc_enqueue_job(
            p_type => 'practice_grading', p_payload => jsonb_build_object('practice_assignment_id', p_assignment_id),
            p_user_id => p_student_id, p_dedupe_key => 'practice:' || p_assignment_id
        ) as e;
        insert into private.practice_submissions (
            practice_assignment_id, student_id, idempotency_key, answer, duration_ms, answered_at, job_id
        )
        values (
            p_assignment_id, p_student_id, p_key, p_answer, p_duration_ms,
            least(private.clock(), coalesce(p_answered_at, private.clock())), v_job
        )
        -- the job that should have graded the first one failed or was cancelled
        on conflict (practice_assignment_id) do update set
            idempotency_key = excluded.idempotency_key,
            answer = excluded.answer,
            duration_ms = excluded.duration_ms,
            answered_at = excluded.answered_at,
            job_id = excluded.job_id;
    end if;
    return query select v_job, null::jsonb;
end
$$;

comment on function public.svc_submit_answer(uuid, uuid, text, text, int, timestamptz) is
    'Keeps an answer in words and enqueues its grading, once; job_id while it is not graded, then the stored result. '
    'Refuses as svc_record_answer does.';

create function public.svc_get_submission(p_assignment_id uuid)
returns table (student_id uuid, idempotency_key text, answer text)
language sql
stable
security definer
set search_path = ''
as $$
    select student_id, idempotency_key, answer from private.practice_submissions
    where practice_assignment_id = p_assignment_id;
$$;

comment on function public.svc_get_submission(uuid) is 'The answer that waits to be graded; no row when none does.';
