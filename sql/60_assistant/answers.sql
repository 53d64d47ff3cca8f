-- How the assistant's answers are written. A question and its empty answer are stored together, the worker streams into
-- private.generation_events, and svc_finish_answer stores the whole text. So nothing is lost when a client disconnects.

create function public.svc_begin_answer(
    p_thread_id uuid,
    p_teacher_id uuid,
    p_external_id text,
    p_content text,
    p_content_hash text
)
returns table (user_message_id uuid, assistant_message_id uuid, outcome text)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_question public.messages;
    v_answer public.messages;
begin
    if p_thread_id is null or p_teacher_id is null or p_external_id is null or p_content is null
        or p_content_hash is null then
        raise exception 'p_thread_id, p_teacher_id, p_external_id, p_content and p_content_hash must not be null'
            using errcode = '22004';
    end if;
    -- one question at a time: the second waits here, then sees the first
    perform from public.threads where id = p_thread_id and teacher_id = p_teacher_id for update;
    if not found then
        raise exception 'no thread of this teacher has the id in p_thread_id' using errcode = 'PT404';
    end if;

    select * into v_question from public.messages where thread_id = p_thread_id and external_id = p_external_id;
    if found then
        -- a question sent over REST has no hash yet, so its text is compared
        if v_question.role <> 'user' or (
            v_question.content_hash is null and v_question.content <> p_content
        ) or v_question.content_hash <> p_content_hash then
            return query select v_question.id, null::uuid, 'conflict';
            return;
        end if;
        select * into v_answer from public.messages
        where parent_id = v_question.id and thread_id = p_thread_id and role = 'assistant'
        order by seq desc limit 1;
        if found and v_answer.status <> 'failed' then
            return query select v_question.id, v_answer.id, 'existing';
            return;
        end if;
    end if;

    select * into v_answer from public.messages where thread_id = p_thread_id and status = 'streaming';
    if found then
        return query select v_question.id, v_answer.id, 'busy';
        return;
    end if;

    if v_question.id is null then
        insert into public.messages (thread_id, role, content, external_id, content_hash)
        values (p_thread_id, 'user', p_content, p_external_id, p_content_hash)
        returning * into v_question;
    elsif v_question.content_hash is null then
        update public.messages set content_hash = p_content_hash where id = v_question.id;
    end if;
    insert into public.messages (thread_id, role, content, status, parent_id)
    values (p_thread_id, 'assistant', '', 'streaming', v_question.id)
    returning * into v_answer;
    return query select v_question.id, v_answer.id, 'new';
end
$$;

comment on function public.svc_begin_answer(uuid, uuid, text, text, text) is
    'Stores a question and its empty, streaming answer. outcome new; existing when it was asked before (with the '
    'stored or live answer; after a failed answer it is new again); conflict when the external id has other content; '
    'busy when another answer of the thread is being written (nothing is stored). PT404 when the teacher has no such '
    'thread.';

create function public.svc_finish_answer(
    p_message_id uuid,
    p_status text,
    p_content text,
    p_finish_reason text default null,
    p_citations jsonb default '[]',
    p_metrics jsonb default '{}',
    p_error_code text default null,
    p_model text default null,
    p_prompt_version text default null
)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_status public.message_status;
begin
    if p_message_id is null or p_status is null or p_content is null then
        raise exception 'p_message_id, p_status and p_content must not be null' using errcode = '22004';
    end if;
    if p_status not in ('complete', 'stopped', 'interrupted', 'failed') then
        raise exception 'p_status must be complete, stopped, interrupted or failed' using errcode = '22023';
    end if;
    select status into v_status from public.messages where id = p_message_id and role = 'assistant' for update;
    if not found then
        raise exception 'no answer has the id in p_message_id' using errcode = 'PT404';
    end if;
    -- a late writer, after the sweep or a second attempt, changes nothing
    if v_status <> 'streaming' then
        return;
    end if;
    update public.messages set
        status = p_status::public.message_status,
        content = p_content,
        finish_reason = p_finish_reason,
        citations = coalesce(p_citations, '[]'),
        metrics = coalesce(p_metrics, '{}'),
        error_code = p_error_code,
        model = p_model,
        prompt_version = p_prompt_version
    where id = p_message_id;
end
$$;

comment on function public.svc_finish_answer(uuid, text, text, text, jsonb, jsonb, text, text, text) is
    'Ends a streaming answer as complete, stopped, interrupted or failed, with its text. On an answer that has ended '
    'nothing changes. PT404 when the answer does not exist, 22023 for another status.';
