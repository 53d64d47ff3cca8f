-- How the agent's lines of a Socratic session are written: as the assistant's answers (60_assistant/answers.sql), with
-- the same stream. A line of the learner, the agent's empty line, its stream and its job are stored together.
--
-- The lock order is the week, then the session, the stream and the message.

create function public.svc_begin_socratic(
    p_session_id uuid,
    p_user_id uuid,
    p_external_id text,
    p_content text,
    p_content_hash text,
    p_message_id uuid default null,
    p_audio_url text default null,
    p_audio_seconds numeric default null
)
returns table (user_message_id uuid, assistant_message_id uuid, outcome text)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_week_status public.week_status;
    v_session public.socratic_sessions;
    v_line public.socratic_messages;
    v_answer public.socratic_messages;
begin
    if p_session_id is null or p_user_id is null or p_external_id is null or p_content is null
        or p_content_hash is null then
        raise exception 'p_session_id, p_user_id, p_external_id, p_content and p_content_hash must not be null'
            using errcode = '22004';
    end if;
    perform private.check_number('p_audio_seconds', p_audio_seconds, 0, 86400);
    v_week_status := private.lock_week(
        (select week_id from public.socratic_sessions where id = p_session_id and user_id = p_user_id), p_user_id
    );
    -- one line at a time: the second waits here, then sees the first
    select * into v_session from public.socratic_sessions
    where id = p_session_id and user_id = p_user_id for update;
    if not found then
        raise exception 'no session of this learner has the id in p_session_id' using errcode = 'PT404';
    end if;

    select * into v_line from public.socratic_messages
    where session_id = p_session_id and external_id = p_external_id;
    if found then
        if v_line.content_hash <> p_content_hash then
            return query select v_line.id, null::uuid, 'conflict';
            return;
        end if;
        select * into v_answer from public.socratic_messages
        where parent_id = v_line.id and session_id = p_session_id and role = 'assistant'
        order by seq desc limit 1;
        if found and (v_answer.status <> 'failed' or v_session.ended_at is not null or v_week_status = 'archived') then
            return query select v_line.id, v_answer.id, 'existing';
            return;
        end if;
    end if;

    if v_week_status = 'archived' then
        return query select null::uuid, null::uuid, 'archived';
        return;
    end if;
    if v_session.ended_at is not null then
        return query select null::uuid, null::uuid, 'ended';
        return;
    end if;
    select * into v_answer from public.socratic_messages where session_id = p_session_id and status = 'streaming';
    if found then
        return query select v_line.id, v_answer.id, 'busy';
        return;
    end if;

    if v_line.id is null then
        insert into public.socratic_messages (
            id, session_id, role, content, external_id, content_hash, audio_url, audio_seconds, occurred_at
        )
        values (
            coalesce(p_message_id, gen_random_uuid()), p_session_id, 'user', p_content, p_external_id, p_content_hash,
            p_audio_url, p_audio_seconds, private.clock()
        )
        returning * into v_line;
    end if;
    insert into public.socratic_messages (session_id, role, content, status, parent_id, occurred_at)
    values (p_session_id, 'assistant', '', 'streaming', v_line.id, private.clock())
    returning * into v_answer;
    perform public.svc_append_generation(
        v_answer.id, 1, array[jsonb_build_object('type', 'start', 'messageId', v_answer.id)]
    );
    -- nobody's, as the assistant's answers are
    perform public.svc_enqueue_job(
        p_type => 'socratic_answer',
        p_payload => jsonb_build_object('message_id', v_answer.id, 'session_id', p_session_id),
        p_dedupe_key => 'socratic_answer:' || v_answer.id
    );
    return query select v_line.id, v_answer.id, 'new';
end
$$;

comment on function public.svc_begin_socratic(uuid, uuid, text, text, text, uuid, text, numeric) is
    'Stores a learner''s line and the agent''s empty, streaming one, begins its stream and enqueues its job (type '
    'socratic_answer, payload {message_id, session_id}). A spoken line has its key in Storage in p_audio_url, its '
    'length in p_audio_seconds, and no content until it is transcribed; p_message_id becomes its id. outcome new; '
    'existing when it was sent before (with the stored or live answer; after a failed one it is new again); conflict '
    'when the external id has other content; busy when another answer is being written, ended when the session has '
    'ended and archived when its week is archived (nothing is stored). PT404 when the learner has no such session.';

create function public.svc_load_socratic(p_message_id uuid)
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_answer public.socratic_messages;
    v_line public.socratic_messages;
begin
    if p_message_id is null then
        raise exception 'p_message_id must not be null' using errcode = '22004';
    end if;
    select * into v_answer from public.socratic_messages where id = p_message_id and role = 'assistant';
    if not found then
        raise exception 'no answer has the id in p_message_id' using errcode = 'PT404';
    end if;
    select * into v_line from public.socratic_messages where id = v_answer.parent_id;
    return (
        select jsonb_build_object(
            'status', v_answer.status,
            'seq', coalesce((select max(seq) from private.generation_events where stream_id = p_message_id), 0),
            'attempts', (
                select count(*) from private.generation_events
                where stream_id = p_message_id and part ->> 'type' = 'data-attempt'
            ),
            'text', private.stream_text(p_message_id),
            'user_id', s.user_id,
            'topic', s.topic,
            'voice_enabled', s.voice_enabled,
            'has_audio', v_answer.audio_url is not null,
            'content', v_answer.content,
            'line', jsonb_build_object(
                'id', v_line.id, 'content', v_line.content, 'audio_url', v_line.audio_url,
                'audio_seconds', v_line.audio_seconds, 'transcript', v_line.transcript
            ),
            'turns', (
                select count(*) from public.socratic_messages as m
                where m.session_id = s.id and m.seq < v_answer.seq and m.role = 'assistant' and m.content <> ''
            ),
            'history', (
                select coalesce(
                    jsonb_agg(jsonb_build_object('role', m.role, 'content', m.content) order by m.seq), '[]'
                )
                from (
                    select * from public.socratic_messages
                    where session_id = s.id and seq < v_answer.seq and id is distinct from v_line.id
                        and role in ('user', 'assistant') and content <> ''
                    order by seq desc limit 200
                ) as m
            ),
            'practice', (
                select coalesce(jsonb_agg(jsonb_build_object('question', p.question, 'answers', p.answers)), '[]')
                from (
                    select
                        coalesce(a.ai_question_text, i.question_text) as question,
                        array_remove(
                            array[g.ai_answer_text, g.ai_explanation, b.answer_text, b.explanation]
                            || coalesce(b.accepted_answers, '{}'), null
                        ) as answers
                    from public.practice_assignments as a
                    left join public.practice_bank_items as i on i.id = a.bank_item_id
                    left join public.practice_bank_answers as b on b.item_id = a.bank_item_id
                    left join public.practice_assignment_answers as g on g.practice_assignment_id = a.id
                    where a.student_id = s.user_id and not a.completed
                    order by a.assigned_at desc, a.id
                    limit 200
                ) as p
            )
        )
        from public.socratic_sessions as s where s.id = v_answer.session_id
    );
end
$$;

comment on function public.svc_load_socratic(uuid) is
    'What a worker needs to write the agent''s line: its status, stream and text so far, the learner''s line, the '
    'topic, how many turns the agent has had, the 200 lines before, and the learner''s 200 newest open practice '
    'questions with their answers, which must not be given away. PT404 when the line does not exist.';

create function private.count_socratic_questions(p_session_id uuid)
returns void
language sql
volatile
set search_path = ''
as $$
    update public.socratic_sessions as s set total_questions = c.questions
    from (
        select count(*)::int as questions from public.socratic_messages
        where session_id = p_session_id and role = 'assistant' and private.has_question(content)
    ) as c
    where s.id = p_session_id and s.total_questions <> c.questions;
$$;

comment on function private.count_socratic_questions(uuid) is
    'Sets total_questions of a session: the stored turns of the agent that ask. A turn asks one question.';

create function public.svc_finish_socratic(
    p_message_id uuid,
    p_status text,
    p_content text,
    p_finish_reason text default null,
    p_metrics jsonb default '{}',
    p_error_code text default null,
    p_error_message text default null,
    p_model text default null,
    p_prompt_version text default null,
    p_seq bigint default null
)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_answer public.socratic_messages;
begin
    if p_message_id is null or p_status is null or p_content is null then
        raise exception 'p_message_id, p_status and p_content must not be null' using errcode = '22004';
    end if;
    if p_status not in ('complete', 'stopped', 'interrupted', 'failed') then
        raise exception 'p_status must be complete, stopped, interrupted or failed' using errcode = '22023';
    end if;
    perform from public.socratic_sessions
    where id = (select session_id from public.socratic_messages where id = p_message_id) for update;
    perform pg_advisory_xact_lock(hashtextextended(p_message_id::text, 0));
    select * into v_answer from public.socratic_messages where id = p_message_id and role = 'assistant' for update;
    if not found then
        raise exception 'no answer has the id in p_message_id' using errcode = 'PT404';
    end if;
    if v_answer.status = 'stopped' and p_status = 'stopped' and v_answer.metrics = '{}' then
        -- the learner stopped it; the worker adds what it cost
        update public.socratic_messages
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
    update public.socratic_messages set
        status = p_status::public.message_status,
        content = left(p_content, 100000),
        finish_reason = p_finish_reason,
        metrics = coalesce(p_metrics, '{}'),
        error_code = p_error_code,
        model = p_model,
        prompt_version = p_prompt_version
    where id = p_message_id;
    perform private.count_socratic_questions(v_answer.session_id);
    perform private.end_stream(
        p_message_id, '{}',
        case p_status
            when 'complete' then jsonb_build_object('type', 'finish', 'finishReason', 'stop')
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

comment on function public.svc_finish_socratic(
    uuid, text, text, text, jsonb, text, text, text, text, bigint
) is
    'Ends a streaming line of the agent as complete, stopped, interrupted or failed, with its text, counts the '
    'session''s questions and ends the stream. False, and nothing changes, when the line has ended or p_seq is not '
    'its last event; a stopped line still takes its worker''s metrics. PT404 when the line does not exist, 22023 for '
    'another status.';

create function public.svc_store_socratic_speech(p_message_id uuid, p_audio_url text, p_transcript text default null)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if p_message_id is null then
        raise exception 'p_message_id must not be null' using errcode = '22004';
    end if;
    update public.socratic_messages set
        audio_url = coalesce(p_audio_url, audio_url),
        transcript = coalesce(left(p_transcript, 100000), transcript),
        content = case when content = '' then coalesce(left(p_transcript, 100000), content) else content end
    where id = p_message_id;
    return found;
end
$$;

comment on function public.svc_store_socratic_speech(uuid, text, text) is
    'Stores what was heard of a learner''s spoken line, which becomes its content, or where the agent''s spoken line '
    'is. False when the line is gone.';

create function private.close_socratic(p_message_id uuid, p_status text)
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
begin
    perform from public.socratic_sessions
    where id = (select session_id from public.socratic_messages where id = p_message_id) for update;
    perform pg_advisory_xact_lock(hashtextextended(p_message_id::text, 0));
    return public.svc_finish_socratic(
        p_message_id, p_status, private.stream_text(p_message_id),
        p_error_code => case p_status when 'interrupted' then 'interrupted' end
    );
end
$$;

comment on function private.close_socratic(uuid, text) is
    'Ends a line of the agent without its worker, as stopped or interrupted, with the text so far. False when it has '
    'ended.';

create function private.stop_socratic(p_session_id uuid)
returns uuid
language plpgsql
volatile
set search_path = ''
as $$
declare
    v_id constant uuid := (
        select id from public.socratic_messages where session_id = p_session_id and status = 'streaming'
    );
begin
    if v_id is null then
        return null;
    end if;
    perform private.close_socratic(v_id, 'stopped');
    begin
        perform private.end_live_job(j.id) from public.jobs as j
        where j.dedupe_key = 'socratic_answer:' || v_id and j.status in ('queued', 'running');
    exception when sqlstate 'PT409' then
        -- the job ended by itself meanwhile
        null;
    end;
    return v_id;
end
$$;

comment on function private.stop_socratic(uuid) is
    'Stops the line that is being written in a session, and its job. Its id, or null when none is being written.';

create function public.svc_stop_socratic(p_session_id uuid, p_user_id uuid)
returns uuid
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if p_session_id is null or p_user_id is null then
        raise exception 'p_session_id and p_user_id must not be null' using errcode = '22004';
    end if;
    if not exists (select from public.socratic_sessions where id = p_session_id and user_id = p_user_id) then
        raise exception 'no session of this learner has the id in p_session_id' using errcode = 'PT404';
    end if;
    return private.stop_socratic(p_session_id);
end
$$;

comment on function public.svc_stop_socratic(uuid, uuid) is
    'Ends the agent''s line that is being written in a session as stopped, with the text so far. The line''s id, or '
    'null when none is being written. PT404 when the learner has no such session.';
