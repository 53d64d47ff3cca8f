-- How the assistant's answers are written. A question, its empty answer, the answer's stream and its job are stored
-- together. A worker appends to the stream (private.generation_events, 30_headstart), and svc_finish_answer stores the
-- whole text and the last events in one transaction. So nothing is lost when a client disconnects or a worker dies.
--
-- The stream holds the parts of an AI SDK message stream, as clients get them: start, start-step, text-start,
-- text-delta, text-end, source-url or source-document, finish-step, then one of finish, error, abort.
--
-- Whoever ends an answer locks the stream first, as svc_append_generation does, then the message.

create function private.stream_text(p_stream_id uuid)
returns text
language sql
stable
set search_path = ''
as $$
    select coalesce(string_agg(e.part ->> 'delta', '' order by e.seq), '')
    from private.generation_events as e
    where e.stream_id = p_stream_id and e.part ->> 'type' = 'text-delta';
$$;

comment on function private.stream_text(uuid) is 'The text of a stream so far: its deltas, joined.';

create function private.end_stream(p_stream_id uuid, p_parts jsonb[], p_last jsonb)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
    v_last bigint;
    v_text_id jsonb;
    v_parts jsonb[] := '{}';
begin
    select coalesce(max(seq), 0) into v_last from private.generation_events where stream_id = p_stream_id;
    select part -> 'id' into v_text_id from private.generation_events
    where stream_id = p_stream_id and part ->> 'type' = 'text-start';
    if found then
        v_parts := array[jsonb_build_object('type', 'text-end', 'id', v_text_id)];
    end if;
    v_parts := v_parts || p_parts;
    if v_text_id is not null and p_last ->> 'type' = 'finish' then
        v_parts := v_parts || array['{"type": "finish-step"}'::jsonb];
    end if;
    perform public.svc_append_generation(p_stream_id, v_last + 1, v_parts || array[p_last]);
end
$$;

comment on function private.end_stream(uuid, jsonb[], jsonb) is
    'Appends the last parts of an answer''s stream: the end of its text, p_parts, and p_last, which is finish, error '
    'or abort. The caller holds the stream''s lock.';

create function public.svc_begin_answer(
    p_thread_id uuid,
    p_teacher_id uuid,
    p_external_id text,
    p_content text,
    p_content_hash text,
    p_class_id uuid default null,
    p_content_source_ids uuid[] default '{}'
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
    v_sources constant uuid[] := array(select distinct id from unnest(p_content_source_ids) as id order by id);
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

    if p_class_id is not null and not exists (
        select from public.classes where id = p_class_id and teacher_id = p_teacher_id
    ) then
        raise exception 'no class of this teacher has the id in p_class_id' using errcode = 'PT404';
    end if;
    if cardinality(v_sources) <> (
        select count(*) from public.content_sources where id = any (v_sources) and teacher_id = p_teacher_id
    ) then
        raise exception 'p_content_source_ids must all be content sources of this teacher' using errcode = 'PT404';
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
    perform public.svc_append_generation(
        v_answer.id, 1, array[jsonb_build_object('type', 'start', 'messageId', v_answer.id)]
    );
    -- the job is nobody's: an answer takes none of the person's slots, because workers keep a lane for answers
    perform public.svc_enqueue_job(
        p_type => 'chat_answer',
        p_payload => jsonb_build_object(
            'message_id', v_answer.id, 'class_id', p_class_id, 'content_source_ids', to_jsonb(v_sources)
        ),
        p_dedupe_key => 'chat_answer:' || v_answer.id
    );
    return query select v_question.id, v_answer.id, 'new';
end
$$;

comment on function public.svc_begin_answer(uuid, uuid, text, text, text, uuid, uuid[]) is
    'Stores a question and its empty, streaming answer, begins the answer''s stream and enqueues its job (type '
    'chat_answer, payload {message_id, class_id, content_source_ids}). outcome new; existing when it was asked before '
    '(with the stored or live answer; after a failed answer it is new again); conflict when the external id has other '
    'content; busy when another answer of the thread is being written (nothing is stored). PT404 when the teacher has '
    'no such thread, class or content source.';

create function public.svc_load_answer(p_message_id uuid)
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_answer public.messages;
    v_question public.messages;
begin
    if p_message_id is null then
        raise exception 'p_message_id must not be null' using errcode = '22004';
    end if;
    select * into v_answer from public.messages where id = p_message_id and role = 'assistant';
    if not found then
        raise exception 'no answer has the id in p_message_id' using errcode = 'PT404';
    end if;
    select * into v_question from public.messages where id = v_answer.parent_id;
    return (
        select jsonb_build_object(
            'status', v_answer.status,
            'seq', coalesce((select max(seq) from private.generation_events where stream_id = p_message_id), 0),
            'attempts', (
                select count(*) from private.generation_events
                where stream_id = p_message_id and part ->> 'type' = 'data-attempt'
            ),
            'text', private.stream_text(p_message_id),
            'user_id', t.teacher_id,
            'title', t.title,
            'question', v_question.content,
            'history', (
                select coalesce(jsonb_agg(jsonb_build_object(
                    'id', m.id, 'role', m.role, 'content', m.content, 'status', m.status, 'parent_id', m.parent_id
                ) order by m.seq), '[]')
                from (
                    select * from public.messages
                    where thread_id = v_answer.thread_id and seq < v_question.seq and role in ('user', 'assistant')
                    order by seq desc limit 200
                ) as m
            ),
            'has_sources', exists (
                select from public.content_sources where teacher_id = t.teacher_id and status = 'ready'
            )
        )
        from public.threads as t where t.id = v_answer.thread_id
    );
end
$$;

comment on function public.svc_load_answer(uuid) is
    'What a worker needs to write an answer: its status, the number of its last event, how many calls of the model '
    'were made for it, the text so far, the question, whose it is, the thread''s title and its 200 messages before '
    'the question. PT404 when the answer does not exist.';

create function public.svc_finish_answer(
    p_message_id uuid,
    p_status text,
    p_content text,
    p_finish_reason text default null,
    p_citations jsonb default '[]',
    p_metrics jsonb default '{}',
    p_error_code text default null,
    p_model text default null,
    p_prompt_version text default null,
    p_seq bigint default null,
    p_parts jsonb[] default '{}',
    p_error_message text default null,
    p_title text default null
)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_answer public.messages;
begin
    if p_message_id is null or p_status is null or p_content is null then
        raise exception 'p_message_id, p_status and p_content must not be null' using errcode = '22004';
    end if;
    if p_status not in ('complete', 'stopped', 'interrupted', 'failed') then
        raise exception 'p_status must be complete, stopped, interrupted or failed' using errcode = '22023';
    end if;
    perform pg_advisory_xact_lock(hashtextextended(p_message_id::text, 0));
    select * into v_answer from public.messages where id = p_message_id and role = 'assistant' for update;
    if not found then
        raise exception 'no answer has the id in p_message_id' using errcode = 'PT404';
    end if;
    if v_answer.status = 'stopped' and p_status = 'stopped' and v_answer.metrics = '{}' then
        -- the reader stopped it; the worker adds what it cost
        update public.messages
        set metrics = coalesce(p_metrics, '{}'), model = p_model, prompt_version = p_prompt_version
        where id = p_message_id;
        return true;
    end if;
    -- a late writer, after the sweep, a stop or another worker, changes nothing
    if v_answer.status <> 'streaming' or p_seq <> (
        select coalesce(max(seq), 0) from private.generation_events where stream_id = p_message_id
    ) then
        return false;
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
    update public.threads set title = p_title
    where id = v_answer.thread_id and title is null and p_title is not null;
    perform private.end_stream(
        p_message_id, coalesce(p_parts, '{}'),
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

comment on function public.svc_finish_answer(
    uuid, text, text, text, jsonb, jsonb, text, text, text, bigint, jsonb[], text, text
) is
    'Ends a streaming answer as complete, stopped, interrupted or failed, with its text, and ends its stream: '
    'p_parts, then finish, abort or error. p_title becomes the title of a thread that has none. False, and nothing '
    'changes, when the answer has ended or p_seq is not its last event; a stopped answer still takes its worker''s '
    'metrics. PT404 when the answer does not exist, 22023 for another status.';

create function public.svc_stop_answer(p_thread_id uuid, p_teacher_id uuid)
returns uuid
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_id uuid;
begin
    if p_thread_id is null or p_teacher_id is null then
        raise exception 'p_thread_id and p_teacher_id must not be null' using errcode = '22004';
    end if;
    if not exists (select from public.threads where id = p_thread_id and teacher_id = p_teacher_id) then
        raise exception 'no thread of this teacher has the id in p_thread_id' using errcode = 'PT404';
    end if;
    select id into v_id from public.messages where thread_id = p_thread_id and status = 'streaming';
    if v_id is null then
        return null;
    end if;
    perform private.close_answer(v_id, 'stopped');
    begin
        perform private.end_live_job(j.id) from public.jobs as j
        where j.dedupe_key = 'chat_answer:' || v_id and j.status in ('queued', 'running');
    exception when sqlstate 'PT409' then
        -- the job ended by itself meanwhile
        null;
    end;
    return v_id;
end
$$;

comment on function public.svc_stop_answer(uuid, uuid) is
    'Ends the answer that is being written in a thread as stopped, with the text so far. Its job ends, too. The '
    'answer''s id, or null when none is being written. PT404 when the teacher has no such thread.';

create function private.close_answer(p_message_id uuid, p_status text)
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
begin
    perform pg_advisory_xact_lock(hashtextextended(p_message_id::text, 0));
    return public.svc_finish_answer(
        p_message_id, p_status, left(private.stream_text(p_message_id), 200000),
        p_error_code => case p_status when 'interrupted' then 'interrupted' end
    );
end
$$;

comment on function private.close_answer(uuid, text) is
    'Ends an answer without its worker, as stopped or interrupted, with the text so far. False when it has ended.';
