-- The review of an item after a tutor's score. A job computes it from the log of answers, because FSRS is a package of
-- the service; it is stored only while no further answer or correction has come.

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
