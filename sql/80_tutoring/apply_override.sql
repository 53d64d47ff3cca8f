-- A tutor corrects what the companion wrote. Snapshot, override and correction are one transaction; readers see the new
-- text with the commit.

create function private.check_override_keys(p_content jsonb, p_allowed text[])
returns void
language plpgsql
immutable
set search_path = ''
as $$
begin
    if jsonb_typeof(p_content) <> 'object' or p_content = '{}' or p_content - p_allowed <> '{}' then
        raise exception 'new_content takes some of: %', array_to_string(p_allowed, ', ') using errcode = '22023';
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
        raise exception '% must be a text of 1 to % characters', p_key, p_limit using errcode = '22023';
    end if;
    return p_content ->> p_key;
end
$$;

comment on function private.override_text(jsonb, text, int) is
    'The text under a key of new_content, null without the key; 22023 when it is no text, blank or too long.';

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
    v_me constant uuid := private.require_caller();
    v_override public.overrides;
    v_summary public.summaries;
    v_practice public.practice_assignments;
    v_answer public.practice_assignment_answers;
    v_qa public.qa_interactions;
    v_item public.practice_bank_items;
    v_old jsonb;
    v_steps text[];
    v_level int;
    v_explanation text;
begin
    if num_nulls(p_type, p_target_id, p_action, p_new_content) > 0 then
        raise exception 'type, target, action and new content are needed' using errcode = '22004';
    end if;
    if p_type not in ('summary', 'practice', 'qa_answer') then
        raise exception 'unknown type of override' using errcode = '22023';
    end if;
    if char_length(p_action) not between 1 and 200 or char_length(p_reason) > 5000 then
        raise exception 'action takes 1 to 200 characters, reason at most 5000' using errcode = '22023';
    end if;

    -- the target first: it is locked, so that its snapshot is what the correction replaces
    if p_type = 'summary' then
        select * into v_summary from public.summaries where id = p_target_id for no key update;
        if not found then
            raise exception 'no such summary' using errcode = 'PT404';
        end if;
        if not private.tutors(v_summary.student_id, v_summary.subject_id) then
            raise exception 'only an active tutor of the student in this subject may do this' using errcode = '42501';
        end if;
        perform private.check_override_keys(p_new_content, '{narrative,next_steps}');
        perform private.override_text(p_new_content, 'narrative', 50000);
        if p_new_content ? 'next_steps' then
            if jsonb_path_exists(p_new_content, 'strict $.next_steps.type() ? (@ != "array")')
                or jsonb_path_exists(p_new_content, '$.next_steps[*].type() ? (@ != "string")') then
                raise exception 'next_steps must be a list of texts' using errcode = '22023';
            end if;
            v_steps := array(select jsonb_array_elements_text(p_new_content -> 'next_steps'));
        end if;
        v_old := jsonb_build_object('narrative', v_summary.narrative, 'next_steps', v_summary.next_steps);
        v_override.student_id := v_summary.student_id;
        v_override.summary_id := p_target_id;
        v_override.subject_id := v_summary.subject_id;

    elsif p_type = 'practice' then
        select * into v_practice from public.practice_assignments where id = p_target_id for no key update;
        if not found then
            raise exception 'no such practice assignment' using errcode = 'PT404';
        end if;
        if not private.tutors(v_practice.student_id, v_practice.subject_id) then
            raise exception 'only an active tutor of the student in this subject may do this' using errcode = '42501';
        end if;
        if v_practice.completed then
            raise exception 'this practice is completed' using errcode = '23514';
        end if;
        if v_practice.source = 'bank' then
            perform private.check_override_keys(p_new_content, '{bank_item_id}');
            begin
                select * into v_item from public.practice_bank_items
                where id = private.override_text(p_new_content, 'bank_item_id', 36)::uuid for share;
            exception when invalid_text_representation then
                raise exception 'bank_item_id must be an id' using errcode = '22023';
            end;
            if v_item.id is null then
                raise exception 'no such item in the bank' using errcode = '22023';
            end if;
            if not v_item.is_active or v_item.subject_id is distinct from v_practice.subject_id then
                raise exception 'the item must be active and of the same subject' using errcode = '23514';
            end if;
            v_old := jsonb_build_object('bank_item_id', v_practice.bank_item_id);
        else
            perform private.check_override_keys(
                p_new_content, '{ai_question_text,ai_answer_text,ai_explanation,difficulty_level}'
            );
            perform private.override_text(p_new_content, 'ai_question_text', 20000);
            perform private.override_text(p_new_content, 'ai_answer_text', 20000);
            -- an explanation may be taken away
            if p_new_content -> 'ai_explanation' <> 'null' then
                v_explanation := private.override_text(p_new_content, 'ai_explanation', 20000);
            end if;
            if p_new_content ? 'difficulty_level' then
                if jsonb_typeof(p_new_content -> 'difficulty_level') <> 'number'
                    or (p_new_content ->> 'difficulty_level')::numeric not in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10) then
                    raise exception 'difficulty_level is a whole number from 1 to 10' using errcode = '22023';
                end if;
                v_level := (p_new_content ->> 'difficulty_level')::numeric::int;
            end if;
            select * into v_answer from public.practice_assignment_answers where practice_assignment_id = p_target_id;
            if v_answer.practice_assignment_id is null and p_new_content ? 'ai_explanation'
                and not p_new_content ? 'ai_answer_text' then
                raise exception 'there is no answer to explain yet' using errcode = '22023';
            end if;
            v_old := jsonb_build_object(
                'ai_question_text', v_practice.ai_question_text,
                'ai_answer_text', v_answer.ai_answer_text,
                'ai_explanation', v_answer.ai_explanation,
                'difficulty_level', v_practice.difficulty_level
            );
        end if;
        v_override.student_id := v_practice.student_id;
        v_override.practice_assignment_id := p_target_id;
        v_override.subject_id := v_practice.subject_id;
        v_override.difficulty_level := v_practice.difficulty_level;

    else
        select * into v_qa from public.qa_interactions where id = p_target_id for no key update;
        if not found then
            raise exception 'no such question' using errcode = 'PT404';
        end if;
        if not private.tutors(v_qa.student_id, null)
            and not (v_qa.escalated_to_tutor_id is not distinct from v_me and private.tutors_any(v_qa.student_id)) then
            raise exception 'only an active tutor in all subjects, or the one it was handed to, may do this'
            using errcode = '42501';
        end if;
        perform private.check_override_keys(p_new_content, '{answer,confidence}');
        perform private.override_text(p_new_content, 'answer', 100000);
        if p_new_content ? 'confidence' and p_new_content -> 'confidence' not in ('"High"', '"Medium"', '"Low"') then
            raise exception 'confidence is High, Medium or Low' using errcode = '22023';
        end if;
        v_old := jsonb_build_object('answer', v_qa.answer, 'confidence', v_qa.confidence);
        v_override.student_id := v_qa.student_id;
        v_override.qa_interaction_id := p_target_id;
    end if;

    insert into public.overrides (
        tutor_id, student_id, override_type, action, summary_id, practice_assignment_id, qa_interaction_id,
        original_content, new_content, reason, subject_id, difficulty_level
    )
    values (
        v_me, v_override.student_id, p_type::public.override_type, p_action, v_override.summary_id,
        v_override.practice_assignment_id, v_override.qa_interaction_id,
        (select jsonb_object_agg(key, value) from jsonb_each(v_old) where p_new_content ? key),
        p_new_content, p_reason, v_override.subject_id, v_override.difficulty_level
    )
    returning * into v_override;

    if p_type = 'summary' then
        update public.summaries set
            narrative = coalesce(p_new_content ->> 'narrative', narrative),
            next_steps = coalesce(v_steps, next_steps),
            overridden = true,
            override_id = v_override.id
        where id = p_target_id;
    elsif p_type = 'practice' then
        update public.practice_assignments set
            bank_item_id = coalesce(v_item.id, bank_item_id),
            bank_item_version = coalesce(v_item.version, bank_item_version),
            ai_question_text = coalesce(p_new_content ->> 'ai_question_text', ai_question_text),
            difficulty_level = coalesce(v_item.difficulty_level, v_level, difficulty_level),
            flagged = false,
            overridden = true,
            override_id = v_override.id
        where id = p_target_id;
        if p_new_content ?| '{ai_answer_text,ai_explanation}' then
            insert into public.practice_assignment_answers (practice_assignment_id, ai_answer_text, ai_explanation)
            values (
                p_target_id,
                coalesce(p_new_content ->> 'ai_answer_text', v_answer.ai_answer_text),
                case when p_new_content ? 'ai_explanation' then v_explanation else v_answer.ai_explanation end
            )
            on conflict (practice_assignment_id) do update set
                ai_answer_text = excluded.ai_answer_text, ai_explanation = excluded.ai_explanation;
        end if;
    else
        update public.qa_interactions set
            answer = coalesce(p_new_content ->> 'answer', answer),
            confidence = coalesce((p_new_content ->> 'confidence')::public.qa_confidence, confidence),
            overridden = true,
            override_id = v_override.id
        where id = p_target_id;
    end if;
    return v_override;
end
$$;

comment on function private.apply_override(text, uuid, text, jsonb, text) is 'What public.apply_override does.';

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
    '{ai_question_text, ai_answer_text, ai_explanation, difficulty_level}, or an answer {answer, confidence}, '
    'and records the override. For active tutors of the student in the row''s subject; 42501 otherwise, 22023 '
    'for empty or other keys, 23514 for a completed practice, PT404 for an unknown target.';
