-- A question is handed to a tutor.

create function private.tutor_for_question(p_student_id uuid, p_subject_id uuid)
returns uuid
language sql
stable
security definer
set search_path = ''
as $$
    select a.tutor_id from private.current_assignments as a
    where a.student_id = p_student_id and a.status = 'active'
        and (a.subject_id is null or a.subject_id = p_subject_id)
    order by a.subject_id is null, a.tutor_id
    limit 1;
$$;

comment on function private.tutor_for_question(uuid, uuid) is
    'Who is asked: an active tutor of the student in the subject, else one in all subjects; null when there is none.';

create function public.svc_escalate_question(p_question_id uuid, p_student_id uuid, p_note text default null)
returns text
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_row public.qa_interactions;
    v_tutor uuid;
begin
    if num_nulls(p_question_id, p_student_id) > 0 then
        raise exception 'p_question_id and p_student_id must not be null' using errcode = '22004';
    end if;
    if char_length(p_note) > 2000 then
        raise exception 'p_note must have at most 2000 characters' using errcode = '22023';
    end if;
    select * into v_row from public.qa_interactions
    where id = p_question_id and student_id = p_student_id for update;
    if not found then
        raise exception 'this student has no question with the id in p_question_id' using errcode = 'PT404';
    end if;
    if v_row.escalated_at is not null then
        return 'existing';
    end if;
    if v_row.status = 'streaming' then
        return 'streaming';
    end if;
    v_tutor := private.tutor_for_question(p_student_id, v_row.subject_id);
    if v_tutor is null then
        return 'no_tutor';
    end if;
    update public.qa_interactions
    set escalated_to_tutor_id = v_tutor, escalated_at = private.clock(), escalation_note = p_note
    where id = p_question_id;
    insert into public.notifications (user_id, type, status, title, body, payload, created_at)
    values (
        v_tutor, 'question_escalated', 'sent', 'A student asks for you',
        'A student would like you to look at a question and its answer.',
        jsonb_build_object('qa_interaction_id', p_question_id, 'student_id', p_student_id), private.clock()
    );
    return 'escalated';
end
$$;

comment on function public.svc_escalate_question(uuid, uuid, text) is
    'Hands a question to the tutor of its subject, else to one of all subjects, and notifies them once: escalated, '
    'existing when it was handed over before, streaming while its answer is written, no_tutor. PT404 when the student '
    'has no such question.';
