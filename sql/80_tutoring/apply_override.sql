-- A tutor corrects what the companion wrote. Snapshot, override and correction are one transaction; readers see the new
-- text with the commit. One function a kind of target, each in the same steps: right, content, snapshot, correction.
-- The right is part of the query that locks the target. So a row of somebody else's student is never locked, and the
-- answer does not tell it from a row that does not exist.

create function private.check_override_keys(p_content jsonb, p_allowed text[])
returns void
language plpgsql
immutable
set search_path = ''
as $$
begin
    if jsonb_typeof(p_content) <> 'object' or p_content = '{}' or p_content - p_allowed <> '{}' then
        raise exception 'p_new_content must be an object with some of the keys %', array_to_string(p_allowed, ', ')
            using errcode = '22023';
    end if;
end
$$;

comment on function private.check_override_keys(jsonb, text[]) is
    '22023 unless the content is an object of at least one key, all of them allowed.';

create function private.override_text(p_content jsonb, p_key text, p_limit int)
returns text
language plpgsql
immutable
set search_path = ''
as $$
begin
    if not p_content ? p_key then
        return null;
    end if;
    if jsonb_typeof(p_content -> p_key) <> 'string' or btrim(p_content ->> p_key) = ''
        or char_length(p_content ->> p_key) > p_limit then
        raise exception 'p_new_content.% must be a text of 1 to % characters', p_key, p_limit using errcode = '22023';
    end if;
    return p_content ->> p_key;
end
$$;

comment on function private.override_text(jsonb, text, int) is
    'The text under a key of p_new_content, null without the key; 22023 when it is no text, blank or too long.';

create function private.record_override(p_override public.overrides, p_before jsonb)
returns public.overrides
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_override public.overrides;
begin
    insert into public.overrides (
        tutor_id, student_id, override_type, action, summary_id, practice_assignment_id, qa_interaction_id,
        original_content, new_content, reason, subject_id, difficulty_level
    )
    values (
        p_override.tutor_id, p_override.student_id, p_override.override_type, p_override.action, p_override.summary_id,
        p_override.practice_assignment_id, p_override.qa_interaction_id,
        (select jsonb_object_agg(key, value) from jsonb_each(p_before) where p_override.new_content ? key),
        p_override.new_content, p_override.reason, p_override.subject_id, p_override.difficulty_level
    )
    returning * into v_override;
    return v_override;
end
$$;

comment on function private.record_override(public.overrides, jsonb) is
    'Stores an override and, of the values before, those of the keys that it changes.';

create function private.override_summary(p_target_id uuid, p_override public.overrides)
returns public.overrides
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_new constant jsonb := p_override.new_content;
    v_summary public.summaries;
begin
    select * into v_summary from public.summaries
    where id = p_target_id and private.tutors(student_id, subject_id) for no key update;
    if not found then
        raise exception 'only an active tutor of the student in this subject may correct this' using errcode = '42501';
    end if;
    perform private.check_override_keys(v_new, '{narrative,next_steps}');
    perform private.override_text(v_new, 'narrative', 50000);
    if jsonb_typeof(v_new -> 'next_steps') <> 'array'
        or jsonb_path_exists(v_new, '$.next_steps[*].type() ? (@ != "string")') then
        raise exception 'p_new_content.next_steps must be a list of texts' using errcode = '22023';
    end if;

    p_override.student_id := v_summary.student_id;
    p_override.summary_id := p_target_id;
    p_override.subject_id := v_summary.subject_id;
    p_override := private.record_override(
        p_override, jsonb_build_object('narrative', v_summary.narrative, 'next_steps', v_summary.next_steps)
    );
    update public.summaries set
        narrative = coalesce(v_new ->> 'narrative', narrative),
        next_steps = case
            when v_new ? 'next_steps' then array(select jsonb_array_elements_text(v_new -> 'next_steps'))
            else next_steps
        end,
        overridden = true,
        override_id = p_override.id
    where id = p_target_id;
    return p_override;
end
$$;

comment on function private.override_summary(uuid, public.overrides) is
    'Corrects narrative or next_steps of a summary, for a tutor of its student in its subject.';

create function private.override_bank_practice(p_practice public.practice_assignments, p_override public.overrides)
returns public.overrides
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_item public.practice_bank_items;
begin
    perform private.check_override_keys(p_override.new_content, '{bank_item_id}');
    begin
        -- the lock keeps the version true until the end of the transaction
        select * into v_item from public.practice_bank_items
        where id = private.override_text(p_override.new_content, 'bank_item_id', 36)::uuid for share;
    exception when invalid_text_representation then
        raise exception 'p_new_content.bank_item_id must be an id' using errcode = '22023';
    end;
    if v_item.id is null then
        raise exception 'p_new_content.bank_item_id names no item of the bank' using errcode = '22023';
    end if;
    if not v_item.is_active or v_item.subject_id is distinct from p_practice.subject_id
        or v_item.student_id <> p_practice.student_id then
        raise exception 'the item must be active, of the same subject, and not kept for another student'
            using errcode = '23514';
    end if;

    p_override := private.record_override(p_override, jsonb_build_object('bank_item_id', p_practice.bank_item_id));
    update public.practice_assignments set
        bank_item_id = v_item.id,
        bank_item_version = v_item.version,
        difficulty_level = v_item.difficulty_level,
        answer_kind = v_item.answer_kind,
        choices = v_item.choices,
        flagged = false,
        overridden = true,
        override_id = p_override.id
    where id = p_practice.id;
    return p_override;
end
$$;

comment on function private.override_bank_practice(public.practice_assignments, public.overrides) is
    'Puts another active item of the same subject in place of the one that was assigned.';

create function private.override_ai_practice(p_practice public.practice_assignments, p_override public.overrides)
returns public.overrides
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_new constant jsonb := p_override.new_content;
    v_answer public.practice_assignment_answers;
begin
    perform private.check_override_keys(
        v_new, '{ai_question_text,ai_answer_text,ai_explanation,difficulty_level}'
    );
    perform private.override_text(v_new, 'ai_question_text', 20000);
    perform private.override_text(v_new, 'ai_answer_text', 20000);
    -- null takes the explanation away
    if v_new -> 'ai_explanation' <> 'null' then
        perform private.override_text(v_new, 'ai_explanation', 20000);
    end if;
    if v_new ? 'difficulty_level'
        and v_new -> 'difficulty_level' not in ('1', '2', '3', '4', '5', '6', '7', '8', '9', '10')
    then
        raise exception 'p_new_content.difficulty_level must be a whole number from 1 to 10' using errcode = '22023';
    end if;
    select * into v_answer from public.practice_assignment_answers where practice_assignment_id = p_practice.id;
    if not found and v_new ? 'ai_explanation' and not v_new ? 'ai_answer_text' then
        raise exception 'there is no answer to explain yet: send p_new_content.ai_answer_text too'
            using errcode = '22023';
    end if;

    p_override := private.record_override(p_override, jsonb_build_object(
        'ai_question_text', p_practice.ai_question_text,
        'ai_answer_text', v_answer.ai_answer_text,
        'ai_explanation', v_answer.ai_explanation,
        'difficulty_level', p_practice.difficulty_level
    ));
    update public.practice_assignments set
        ai_question_text = coalesce(v_new ->> 'ai_question_text', ai_question_text),
        difficulty_level = coalesce((v_new ->> 'difficulty_level')::numeric::int, difficulty_level),
        flagged = false,
        -- one that was refused is asked again, as it is now
        reviewed_at = null,
        reviewed_by = null,
        overridden = true,
        override_id = p_override.id
    where id = p_practice.id;
    if v_new ?| '{ai_answer_text,ai_explanation}' then
        insert into public.practice_assignment_answers (practice_assignment_id, ai_answer_text, ai_explanation)
        values (
            p_practice.id,
            coalesce(v_new ->> 'ai_answer_text', v_answer.ai_answer_text),
            case when v_new ? 'ai_explanation' then v_new ->> 'ai_explanation' else v_answer.ai_explanation end
        )
        on conflict (practice_assignment_id) do update set
            ai_answer_text = excluded.ai_answer_text, ai_explanation = excluded.ai_explanation;
    end if;
    return p_override;
end
$$;

comment on function private.override_ai_practice(public.practice_assignments, public.overrides) is
    'Corrects question, answer, explanation or difficulty of a question that the model wrote. It is accepted by that, '
    'and becomes an item of the bank when it is next asked.';

create function private.override_practice(p_target_id uuid, p_override public.overrides)
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

create function private.override_qa_answer(p_target_id uuid, p_override public.overrides)
returns public.overrides
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_new constant jsonb := p_override.new_content;
    v_qa public.qa_interactions;
begin
    select * into v_qa from public.qa_interactions
    where id = p_target_id
        and (
            private.tutors(student_id, null)
            or (escalated_to_tutor_id = p_override.tutor_id and private.tutors_any(student_id))
        )
    for no key update;
    if not found then
        raise exception 'only an active tutor in all subjects, or the one it was handed to, may correct this'
            using errcode = '42501';
    end if;
    perform private.check_override_keys(v_new, '{answer,confidence}');
    perform private.override_text(v_new, 'answer', 100000);
    if v_new ? 'confidence' and v_new -> 'confidence' not in ('"High"', '"Medium"', '"Low"') then
        raise exception 'p_new_content.confidence must be High, Medium or Low' using errcode = '22023';
    end if;

    p_override.student_id := v_qa.student_id;
    p_override.qa_interaction_id := p_target_id;
    p_override := private.record_override(
        p_override, jsonb_build_object('answer', v_qa.answer, 'confidence', v_qa.confidence)
    );
    update public.qa_interactions set
        answer = coalesce(v_new ->> 'answer', answer),
        confidence = coalesce((v_new ->> 'confidence')::public.qa_confidence, confidence),
        overridden = true,
        override_id = p_override.id
    where id = p_target_id;
    return p_override;
end
$$;

comment on function private.override_qa_answer(uuid, public.overrides) is
    'Corrects an answer or its confidence, for a tutor in all subjects or the one it was handed to.';

create function private.apply_override(
    p_type text,
    p_target_id uuid,
    p_action text,
    p_new_content jsonb,
    p_reason text
)
returns public.overrides
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_override public.overrides;
begin
    v_override.tutor_id := private.require_caller();
    if num_nulls(p_type, p_target_id, p_action, p_new_content) > 0 then
        raise exception 'p_type, p_target_id, p_action and p_new_content are required' using errcode = '22004';
    end if;
    if p_type not in ('summary', 'practice', 'qa_answer') then
        raise exception 'p_type must be summary, practice or qa_answer' using errcode = '22023';
    end if;
    if char_length(p_action) not between 1 and 200 then
        raise exception 'p_action must have 1 to 200 characters' using errcode = '22023';
    end if;
    if char_length(p_reason) > 5000 then
        raise exception 'p_reason must have at most 5000 characters' using errcode = '22023';
    end if;
    v_override.override_type := p_type::public.override_type;
    v_override.action := p_action;
    v_override.new_content := p_new_content;
    v_override.reason := p_reason;
    if p_type = 'summary' then
        return private.override_summary(p_target_id, v_override);
    elsif p_type = 'practice' then
        return private.override_practice(p_target_id, v_override);
    end if;
    return private.override_qa_answer(p_target_id, v_override);
end
$$;

comment on function private.apply_override(text, uuid, text, jsonb, text) is 'Behind public.apply_override().';

create function public.apply_override(
    p_type text,
    p_target_id uuid,
    p_action text,
    p_new_content jsonb,
    p_reason text default null
)
returns public.overrides
language sql
volatile
set search_path = ''
begin atomic
    select private.apply_override(p_type, p_target_id, p_action, p_new_content, p_reason);
end;

comment on function public.apply_override(text, uuid, text, jsonb, text) is
    'Corrects a summary {narrative, next_steps}, a practice question of the bank {bank_item_id} or of the model '
    '{ai_question_text, ai_answer_text, ai_explanation, difficulty_level}, or an answer {answer, confidence}, and '
    'records the override. For active tutors of the student in the row''s subject; 42501 for any other target, '
    'existing or not. 22023 for empty or other keys, 23514 for a completed practice.';
