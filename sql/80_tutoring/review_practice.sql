-- A tutor reviews a question that a model wrote. An accepted one becomes an item of the bank, and the assignment points
-- at it, so it is rated, reviewed and calibrated as others are. A refused one is not asked again.

create function private.accept_practice(p_practice public.practice_assignments, p_tutor_id uuid)
returns public.practice_assignments
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_key public.practice_assignment_answers;
    v_item public.practice_bank_items;
begin
    select * into v_key from public.practice_assignment_answers where practice_assignment_id = p_practice.id;
    insert into public.practice_bank_items (
        question_text, subject_id, difficulty_level, goal_tags, topic_tags, answer_kind, choices, tolerance, language,
        created_by, is_generated, student_id
    )
    values (
        p_practice.ai_question_text, p_practice.subject_id, p_practice.difficulty_level, p_practice.goal_tags,
        p_practice.topic_tags, p_practice.answer_kind, p_practice.choices, p_practice.tolerance,
        coalesce(p_practice.language, 'en'), p_tutor_id, true,
        -- what is made of a student's own material is asked nobody else
        case when v_key.citations <> '[]' then p_practice.student_id end
    )
    returning * into v_item;
    insert into public.practice_bank_answers (item_id, answer_text, explanation, accepted_answers)
    values (v_item.id, v_key.ai_answer_text, v_key.ai_explanation, v_key.accepted_answers);
    update public.practice_assignments set
        source = 'bank',
        bank_item_id = v_item.id,
        bank_item_version = v_item.version,
        ai_question_text = null,
        flagged = false,
        reviewed_at = private.clock(),
        reviewed_by = p_tutor_id
    where id = p_practice.id
    returning * into p_practice;
    -- an answer from before the review is the student's first to this item, and moved nothing; later ones repeat it
    update public.practice_attempts set bank_item_id = v_item.id, item_version = v_item.version
    where practice_assignment_id = p_practice.id;
    if p_practice.completed then
        perform private.ask_for_review(p_practice.id, p_practice.student_id);
    end if;
    return p_practice;
end
$$;

comment on function private.accept_practice(public.practice_assignments, uuid) is
    'Makes an item of the bank of a question that a model wrote, in the name of a tutor. The student''s row is '
    'locked, and the question has a subject, a level and a key.';

create function private.is_acceptable(p_practice public.practice_assignments)
returns boolean
language sql
stable
security definer
set search_path = ''
as $$
    select p_practice.source = 'ai_generated'
        and num_nulls(p_practice.subject_id, p_practice.difficulty_level) = 0
        and exists (
            select from public.practice_assignment_answers as k where k.practice_assignment_id = p_practice.id
        );
$$;

comment on function private.is_acceptable(public.practice_assignments) is
    'Whether a question of a model has what an item of the bank needs: subject, level and key.';

create function private.accept_corrected(p_student_id uuid, p_subject_id uuid)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_practice public.practice_assignments;
    v_tutor uuid;
begin
    for v_practice in
        select * from public.practice_assignments as a
        where a.student_id = p_student_id and a.subject_id = p_subject_id and not a.completed
            and a.source = 'ai_generated' and a.override_id is not null and not a.flagged
            and a.review_state <> 'needs_review' and private.is_acceptable(a) and not private.has_waiting_answer(a.id)
        order by a.id for update
    loop
        select o.tutor_id into v_tutor from public.overrides as o where o.id = v_practice.override_id;
        perform private.accept_practice(v_practice, v_tutor);
    end loop;
end
$$;

comment on function private.accept_corrected(uuid, uuid) is
    'Accepts the questions of a model that a tutor has corrected: a correction is a review. It happens when they are '
    'asked, so that a tutor may correct more than once before.';

create function private.review_practice(p_assignment_id uuid, p_accept boolean, p_reason text)
returns public.practice_assignments
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_practice public.practice_assignments;
    v_override public.overrides;
    v_before jsonb;
begin
    v_override.tutor_id := private.require_caller();
    if num_nulls(p_assignment_id, p_accept) > 0 then
        raise exception 'p_assignment_id and p_accept are required' using errcode = '22004';
    end if;
    if char_length(p_reason) > 5000 then
        raise exception 'p_reason must have at most 5000 characters' using errcode = '22023';
    end if;
    select * into v_practice from public.practice_assignments
    where id = p_assignment_id and private.tutors(student_id, subject_id);
    if not found then
        raise exception 'only an active tutor of the student in this subject may review this' using errcode = '42501';
    end if;
    perform private.lock_student(v_practice.student_id);
    select * into v_practice from public.practice_assignments where id = p_assignment_id for update;
    if v_practice.source = 'bank' and (v_practice.reviewed_at is null or not p_accept) then
        raise exception 'this is an item of the bank: there is nothing left to review' using errcode = '23514',
            hint = 'Give the student another item by apply_override, or set is_active of the item to false.';
    end if;
    -- the same review again
    if v_practice.reviewed_at is not null and p_accept = (v_practice.source = 'bank') then
        return v_practice;
    end if;
    if private.has_waiting_answer(p_assignment_id) then
        raise exception 'an answer to this practice is being graded' using errcode = '23514',
            hint = 'Review it when it is graded.';
    end if;
    if p_accept and not private.is_acceptable(v_practice) then
        raise exception 'an accepted question needs a subject, a level and an answer' using errcode = '23514',
            hint = 'Add level and answer by apply_override first.';
    end if;

    v_before := jsonb_build_object('is_accepted', case when v_practice.reviewed_at is not null then false end);
    if p_accept then
        v_practice := private.accept_practice(v_practice, v_override.tutor_id);
    else
        update public.practice_assignments
        set flagged = true, reviewed_at = private.clock(), reviewed_by = v_override.tutor_id
        where id = p_assignment_id
        returning * into v_practice;
    end if;
    v_override.student_id := v_practice.student_id;
    v_override.override_type := 'practice';
    v_override.action := case when p_accept then 'accept' else 'refuse' end;
    v_override.practice_assignment_id := p_assignment_id;
    v_override.new_content := jsonb_build_object('is_accepted', p_accept);
    v_override.reason := p_reason;
    v_override.subject_id := v_practice.subject_id;
    v_override.difficulty_level := v_practice.difficulty_level;
    perform private.record_override(v_override, v_before);
    return v_practice;
end
$$;

comment on function private.review_practice(uuid, boolean, text) is 'Behind public.review_practice().';

create function public.review_practice(p_assignment_id uuid, p_accept boolean, p_reason text default null)
returns public.practice_assignments
language sql
volatile
set search_path = ''
begin atomic
    select private.review_practice(p_assignment_id, p_accept, p_reason);
end;

comment on function public.review_practice(uuid, boolean, text) is
    'Accepts or refuses a question that a model wrote, for active tutors of student and subject, and records it as an '
    'override. An accepted one becomes an item of the bank; a refused one is not asked again, and may be accepted '
    'later. The same review again changes nothing. 42501 for any other practice, existing or not; 23514 for an item '
    'of the bank, while an answer is being graded, and for a question without subject, level or answer.';
