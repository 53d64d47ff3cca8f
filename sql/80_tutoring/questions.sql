-- How answers to students' questions are written, as those of the assistant are (60_assistant/answers.sql): the row,
-- its stream and its job are made together, a worker appends to the stream, and svc_finish_question stores the whole
-- answer, what is said about it, and the stream's last parts in one transaction. The stream has the row's id.
--
-- Whoever ends an answer locks the stream first, as svc_append_generation does, then the row.

create function public.svc_begin_question(
    p_student_id uuid,
    p_external_id text,
    p_question text,
    p_subject_id uuid default null,
    p_assignment_id uuid default null,
    p_catalog_course_ids uuid[] default '{}'
)
returns table (question_id uuid, outcome text, used bigint, max_used bigint, period_end timestamptz)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_courses constant uuid[] := array(select distinct id from unnest(p_catalog_course_ids) as id order by id);
    v_row public.qa_interactions;
    v_usage record;
    v_job uuid;
begin
    if num_nulls(p_student_id, p_external_id, p_question) > 0 then
        raise exception 'p_student_id, p_external_id and p_question must not be null' using errcode = '22004';
    end if;
    -- of many calls at once the first asks, and the others find its question
    perform pg_advisory_xact_lock(hashtextextended('question:' || p_student_id || ':' || p_external_id, 0));
    select * into v_row from public.qa_interactions where student_id = p_student_id and external_id = p_external_id;
    if found then
        if (v_row.query, v_row.subject_id, v_row.assignment_id, v_row.catalog_course_ids)
            is distinct from (p_question, p_subject_id, p_assignment_id, v_courses) then
            return query select v_row.id, 'conflict', null::bigint, null::bigint, null::timestamptz;
            return;
        end if;
        if v_row.status <> 'failed' then
            return query select v_row.id, 'existing', null::bigint, null::bigint, null::timestamptz;
            return;
        end if;
    end if;
    if p_subject_id is not null and not exists (select from public.subjects where id = p_subject_id) then
        return query select null::uuid, 'subject_not_found', null::bigint, null::bigint, null::timestamptz;
        return;
    end if;
    if p_assignment_id is not null and not exists (
        select from public.assignments where id = p_assignment_id and user_id = p_student_id
    ) then
        raise exception 'this student has no assignment with the id in p_assignment_id' using errcode = 'PT404';
    end if;
    select * into v_usage from public.svc_take_usage(p_student_id, 'questions', 1);
    if not v_usage.taken then
        return query select null::uuid, 'limit', v_usage.used, v_usage.max_used, v_usage.period_end;
        return;
    end if;
    if v_row.id is null then
        insert into public.qa_interactions (
            student_id, query, answer, confidence, status, external_id, subject_id, assignment_id, catalog_course_ids,
            disclaimer_shown, created_at
        )
        values (
            p_student_id, p_question, '', 'Low', 'streaming', p_external_id, p_subject_id, p_assignment_id, v_courses,
            false, private.clock()
        )
        returning * into v_row;
    else
        -- a new attempt: its stream begins anew, and nothing of the failed one stays
        perform pg_advisory_xact_lock(hashtextextended(v_row.id::text, 0));
        delete from private.generation_events where stream_id = v_row.id;
        update public.qa_interactions set
            status = 'streaming', answer = '', error_code = null, finish_reason = null
        where id = v_row.id;
    end if;
    perform public.svc_append_generation(
        v_row.id, 1, array[jsonb_build_object('type', 'start', 'messageId', v_row.id)]
    );
    -- the job is nobody's: an answer takes none of the person's slots, because workers keep a lane for answers
    select e.job_id into v_job from public.svc_enqueue_job(
        p_type => 'question_answer',
        p_payload => jsonb_build_object('question_id', v_row.id, 'period_start', v_usage.period_start)
    ) as e;
    update public.qa_interactions set job_id = v_job where id = v_row.id;
    return query select v_row.id, 'new', v_usage.used, v_usage.max_used, v_usage.period_end;
end
$$;

comment on function public.svc_begin_question(uuid, text, text, uuid, uuid, uuid[]) is
    'Stores a question, begins its answer''s stream, counts it (meter questions) and enqueues its job (type '
    'question_answer). outcome new; existing when it was asked before (after a failed answer it is new again); '
    'conflict when the external id has another question; limit when the quota is used up; subject_not_found. PT404 '
    'when the student has no such assignment. Of calls at once with the same external id, one is new.';

create function public.svc_load_question(p_question_id uuid)
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_row public.qa_interactions;
begin
    if p_question_id is null then
        raise exception 'p_question_id must not be null' using errcode = '22004';
    end if;
    select * into v_row from public.qa_interactions where id = p_question_id;
    if not found then
        raise exception 'no question has the id in p_question_id' using errcode = 'PT404';
    end if;
    return jsonb_build_object(
        'status', v_row.status,
        'seq', coalesce((select max(seq) from private.generation_events where stream_id = p_question_id), 0),
        'attempts', (
            select count(*) from private.generation_events
            where stream_id = p_question_id and part ->> 'type' = 'data-attempt'
        ),
        'text', private.stream_text(p_question_id),
        'user_id', v_row.student_id,
        'question', v_row.query,
        'subject_id', v_row.subject_id,
        'assignment_id', v_row.assignment_id,
        'catalog_course_ids', v_row.catalog_course_ids,
        'subjects', (
            select coalesce(jsonb_agg(s.name order by s.name), '[]') from public.subjects as s
            where s.id = v_row.subject_id
                or s.id in (select t.subject_id from public.student_subjects as t where t.student_id = v_row.student_id)
        ),
        'has_tutor', private.tutor_for_question(v_row.student_id, v_row.subject_id) is not null
    );
end
$$;

comment on function public.svc_load_question(uuid) is
    'What a worker needs to write an answer: its status, the number of its last event, how many calls of the model '
    'were made for it, the text so far, the question and what it is about, the names of the student''s subjects, and '
    'whether a tutor could be asked. PT404 when the question does not exist.';

create function public.svc_finish_question(
    p_question_id uuid,
    p_status text,
    p_content text,
    p_finish_reason text default null,
    p_citations jsonb default '[]',
    p_metrics jsonb default '{}',
    p_error_code text default null,
    p_error_message text default null,
    p_model text default null,
    p_prompt_version text default null,
    p_seq bigint default null,
    p_parts jsonb[] default '{}',
    p_verdict jsonb default '{}'
)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_row public.qa_interactions;
    v_given constant jsonb := coalesce(p_verdict, '{}');
begin
    if num_nulls(p_question_id, p_status, p_content) > 0 then
        raise exception 'p_question_id, p_status and p_content must not be null' using errcode = '22004';
    end if;
    if p_status not in ('complete', 'stopped', 'interrupted', 'failed') then
        raise exception 'p_status must be complete, stopped, interrupted or failed' using errcode = '22023';
    end if;
    perform pg_advisory_xact_lock(hashtextextended(p_question_id::text, 0));
    select * into v_row from public.qa_interactions where id = p_question_id for update;
    if not found then
        raise exception 'no question has the id in p_question_id' using errcode = 'PT404';
    end if;
    if v_row.status = 'stopped' and p_status = 'stopped' and v_row.metrics = '{}' then
        -- the reader stopped it; the worker adds what it cost
        update public.qa_interactions
        set metrics = coalesce(p_metrics, '{}'), model = p_model, prompt_version = p_prompt_version
        where id = p_question_id;
        return true;
    end if;
    -- a late writer, after the sweep, a stop or another worker, changes nothing
    if v_row.status <> 'streaming' or p_seq <> (
        select coalesce(max(seq), 0) from private.generation_events where stream_id = p_question_id
    ) then
        return false;
    end if;
    update public.qa_interactions set
        status = p_status::public.message_status,
        answer = p_content,
        finish_reason = p_finish_reason,
        citations = coalesce(p_citations, '[]'),
        metrics = coalesce(p_metrics, '{}'),
        error_code = p_error_code,
        model = p_model,
        prompt_version = p_prompt_version,
        confidence = coalesce((v_given ->> 'confidence')::public.qa_confidence, 'Low'),
        confidence_score = (v_given ->> 'confidence_score')::numeric,
        raw_score = (v_given ->> 'raw_score')::numeric,
        calibrator_version = (v_given ->> 'calibrator_version')::int,
        out_of_scope = coalesce((v_given ->> 'out_of_scope')::boolean, false),
        clarification_question = v_given ->> 'clarification_question',
        clarification_requested = v_given ->> 'clarification_question' is not null,
        tutor_escalation_suggested = coalesce((v_given ->> 'tutor_escalation_suggested')::boolean, false),
        context_subjects = array(select jsonb_array_elements_text(coalesce(v_given -> 'context_subjects', '[]'))),
        -- the notice is a part of every stream that ends with an answer
        disclaimer_shown = p_status = 'complete'
    where id = p_question_id;
    if p_status = 'complete' then
        update public.user_settings set disclaimer_shown = true
        where user_id = v_row.student_id and not disclaimer_shown;
    elsif p_status = 'failed' then
        perform public.svc_return_usage(
            v_row.student_id, 'questions', 1,
            (select (payload ->> 'period_start')::timestamptz from private.job_runtime where job_id = v_row.job_id)
        );
    end if;
    perform private.end_stream(
        p_question_id, coalesce(p_parts, '{}'),
        case p_status
            when 'complete' then jsonb_build_object(
                'type', 'finish', 'finishReason', case p_finish_reason
                    when 'length' then 'length' when 'content_filter' then 'content-filter' else 'stop'
                end
            )
            when 'stopped' then '{"type": "abort"}'
            else jsonb_build_object(
                'type', 'error', 'code', coalesce(p_error_code, p_status), 'errorText', coalesce(
                    p_error_message, 'The answer broke off before its end. Try again; what was written is kept.'
                )
            )
        end
    );
    return true;
end
$$;

comment on function public.svc_finish_question(
    uuid, text, text, text, jsonb, jsonb, text, text, text, text, bigint, jsonb[], jsonb
) is
    'Ends a streaming answer as complete, stopped, interrupted or failed, with its text, and ends its stream: '
    'p_parts, then finish, abort or error. p_verdict is {confidence, confidence_score, raw_score, calibrator_version, '
    'out_of_scope, clarification_question, tutor_escalation_suggested, context_subjects}. A failed answer gives its '
    'quota back. False, and nothing changes, when the answer has ended or p_seq is not its last event; a stopped '
    'answer still takes its worker''s metrics. PT404 when the question does not exist, 22023 for another status.';

create function private.close_question(p_question_id uuid, p_status text)
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
begin
    perform pg_advisory_xact_lock(hashtextextended(p_question_id::text, 0));
    return public.svc_finish_question(
        p_question_id, p_status, left(private.stream_text(p_question_id), 100000),
        p_error_code => case p_status when 'interrupted' then 'interrupted' end
    );
end
$$;

comment on function private.close_question(uuid, text) is
    'Ends an answer without its worker, as stopped or interrupted, with the text so far. False when it has ended.';

create function public.svc_stop_question(p_question_id uuid, p_student_id uuid)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_status public.message_status;
begin
    if num_nulls(p_question_id, p_student_id) > 0 then
        raise exception 'p_question_id and p_student_id must not be null' using errcode = '22004';
    end if;
    select status into v_status from public.qa_interactions where id = p_question_id and student_id = p_student_id;
    if not found then
        raise exception 'this student has no question with the id in p_question_id' using errcode = 'PT404';
    end if;
    if v_status <> 'streaming' or not private.close_question(p_question_id, 'stopped') then
        return false;
    end if;
    begin
        perform private.end_live_job(q.job_id) from public.qa_interactions as q
        where q.id = p_question_id and q.job_id is not null;
    exception when sqlstate 'PT409' then
        -- the job ended by itself meanwhile
        null;
    end;
    return true;
end
$$;

comment on function public.svc_stop_question(uuid, uuid) is
    'Ends the answer to a question as stopped, with the text so far. Its job ends, too. False when it has ended. '
    'PT404 when the student has no such question.';

create function private.sweep_questions()
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_row record;
    v_count int := 0;
begin
    for v_row in
        select q.id from public.qa_interactions as q
        where q.status = 'streaming' and q.created_at < private.clock() - interval '1 minute'
            -- a part of the last minute shows that a worker is still writing
            and not exists (
                select from private.generation_events as e
                where e.stream_id = q.id and e.at >= private.clock() - interval '1 minute'
            )
            and q.id::text <> all ((select private.live_job_keys('{question_answer}', 'question_id'))::text[])
        order by q.id
    loop
        v_count := v_count + private.close_question(v_row.id, 'interrupted')::int;
    end loop;
    return v_count;
end
$$;

comment on function private.sweep_questions() is
    'Ends answers to questions that no live job will finish, as interrupted with the text so far; how many.';
