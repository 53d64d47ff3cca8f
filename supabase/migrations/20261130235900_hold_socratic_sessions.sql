-- Socratic sessions: the agent's lines are written as answers are, a spoken line has its file, a session that has ended
-- gets insights, and an idle one is ended.
-- Touches: job_type, socratic_messages, socratic_sessions, svc_sweep_generations, private.has_row.
-- Undo: drop the trigger trg_socratic_sessions_insights and the functions, restore the two replaced ones; columns may stay.

set lock_timeout = '5s';

alter type public.job_type add value if not exists 'socratic_answer';
alter type public.job_type add value if not exists 'socratic_insights';

alter table public.socratic_messages
    add column external_id text,
    add column status public.message_status not null default 'complete',
    add column parent_id uuid,
    add column content_hash text,
    add column finish_reason text,
    add column error_code text,
    add column model text,
    add column prompt_version text,
    add column metrics jsonb not null default '{}',
    add column audio_seconds numeric,
    add constraint socratic_messages_session_id_external_id_key unique (session_id, external_id),
    add constraint socratic_messages_id_session_id_key unique (id, session_id),
    add constraint socratic_messages_parent_id_fkey
        foreign key (parent_id, session_id) references public.socratic_messages(id, session_id)
        on delete set null (parent_id),
    add constraint socratic_messages_external_id_check check (char_length(external_id) between 1 and 255),
    add constraint socratic_messages_content_hash_check check (char_length(content_hash) <= 128),
    add constraint socratic_messages_finish_reason_check check (char_length(finish_reason) <= 100),
    add constraint socratic_messages_error_code_check check (char_length(error_code) <= 100),
    add constraint socratic_messages_model_check check (char_length(model) <= 200),
    add constraint socratic_messages_prompt_version_check check (char_length(prompt_version) <= 100),
    add constraint socratic_messages_metrics_check check (jsonb_typeof(metrics) = 'object'),
    add constraint socratic_messages_audio_seconds_check check (audio_seconds >= 0);

-- for the answer to a line
create index idx_socratic_messages_parent_id on public.socratic_messages (parent_id, session_id);
-- one answer at a time; also for the sweep of answers whose writer died
create unique index uq_socratic_messages_streaming on public.socratic_messages (session_id) where status = 'streaming';
-- for the sweep of files
create index idx_socratic_messages_audio_url on public.socratic_messages (audio_url) where audio_url is not null;

comment on column public.socratic_messages.audio_url is 'Bucket and key of the spoken line in Storage.';
comment on column public.socratic_messages.external_id is
    'The sender''s own id of the line, so that sending it again changes nothing.';
comment on column public.socratic_messages.status is 'Whether the text is complete.';
comment on column public.socratic_messages.parent_id is 'Of an agent''s line: the line that it answers.';
comment on column public.socratic_messages.content_hash is
    'Hash of the line as the service received it; tells a repeat from another line.';
comment on column public.socratic_messages.finish_reason is 'Why the model stopped, as it says.';
comment on column public.socratic_messages.error_code is 'Of a failed line of the agent: a code of docs/errors.md.';
comment on column public.socratic_messages.model is 'The model that wrote the line.';
comment on column public.socratic_messages.prompt_version is 'Version of the prompt file used.';
comment on column public.socratic_messages.metrics is
    'Counts and cost of the line; keys as headstart_runs.metrics, and what was wrong with its first draft.';
comment on column public.socratic_messages.audio_seconds is 'Length of a spoken line, in seconds.';

create trigger trg_socratic_messages_files after update of audio_url or delete on public.socratic_messages
for each row execute function private.enqueue_storage_deletion('audio_url');

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
        if found and (v_answer.status <> 'failed' or v_session.ended_at is not null) then
            return query select v_line.id, v_answer.id, 'existing';
            return;
        end if;
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
    'when the external id has other content; busy when another answer is being written and ended when the session '
    'has ended (nothing is stored). PT404 when the learner has no such session.';

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
        where session_id = p_session_id and role = 'assistant' and content ~ '[?？؟]'
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
    'session''s questions and ends the stream. False, and nothing changes, when the line has ended or p_seq is not its '
    'last event; a stopped line still takes its worker''s metrics. PT404 when the line does not exist, 22023 for '
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

create function private.enqueue_socratic_insights(p_session_id uuid, p_user_id uuid)
returns uuid
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if not exists (
        select from public.socratic_messages where session_id = p_session_id and role = 'user' and content <> ''
    ) then
        -- nothing was said, so there is nothing to find
        return null;
    end if;
    return (
        select e.job_id from public.svc_enqueue_job(
            p_type => 'socratic_insights',
            p_payload => jsonb_build_object('session_id', p_session_id),
            p_user_id => p_user_id,
            p_dedupe_key => 'socratic_insights:' || p_session_id
        ) as e
    );
end
$$;

comment on function private.enqueue_socratic_insights(uuid, uuid) is
    'Enqueues the job that writes a session''s insights, or joins the live one. Null when the learner said nothing.';

create function private.end_socratic_session()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform private.stop_socratic(new.id);
    perform private.count_socratic_questions(new.id);
    perform private.enqueue_socratic_insights(new.id, new.user_id);
    return null;
end
$$;

comment on function private.end_socratic_session() is
    'AFTER UPDATE OF ended_at on socratic_sessions, once the session has ended: stops the agent''s line, counts the '
    'questions and enqueues the insights.';

create trigger trg_socratic_sessions_insights after update of ended_at on public.socratic_sessions
for each row when (new.ended_at is not null and old.ended_at is null)
execute function private.end_socratic_session();

create function public.svc_end_socratic(p_session_id uuid, p_user_id uuid)
returns table (job_id uuid, is_done boolean)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_session public.socratic_sessions;
    v_job uuid;
begin
    if p_session_id is null or p_user_id is null then
        raise exception 'p_session_id and p_user_id must not be null' using errcode = '22004';
    end if;
    select * into v_session from public.socratic_sessions
    where id = p_session_id and user_id = p_user_id for update;
    if not found then
        raise exception 'no session of this learner has the id in p_session_id' using errcode = 'PT404';
    end if;
    if v_session.ended_at is null then
        update public.socratic_sessions set ended_at = greatest(started_at, private.clock()) where id = p_session_id;
        select j.id into v_job from public.jobs as j
        where j.dedupe_key = 'socratic_insights:' || p_session_id and j.status in ('queued', 'running');
    elsif not v_session.session_metadata ? 'insights' then
        -- the job failed, or still runs
        v_job := private.enqueue_socratic_insights(p_session_id, p_user_id);
    end if;
    return query select v_job, v_job is null;
end
$$;

comment on function public.svc_end_socratic(uuid, uuid) is
    'Ends a session, or finds that it has ended. is_done: its insights are there, or there will be none. Otherwise '
    'job_id is the job that writes them; after a failed one it is a new one. PT404 when the learner has no such session.';

create function public.svc_finish_socratic_insights(
    p_session_id uuid, p_insights jsonb, p_model text, p_prompt_version text, p_metrics jsonb default '{}'
)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if p_session_id is null then
        raise exception 'p_session_id must not be null' using errcode = '22004';
    end if;
    if jsonb_typeof(p_insights) is distinct from 'array' or exists (
        select from jsonb_array_elements(p_insights) as e (insight)
        where not exists (
            select from public.socratic_messages as m
            where m.session_id = p_session_id and m.id::text = e.insight ->> 'message_id'
                and char_length(e.insight ->> 'text') between 1 and 2000 and e.insight ->> 'quote' is not null
        )
    ) then
        raise exception 'p_insights must be a list of {text, message_id, quote} of lines of this session'
            using errcode = '22023';
    end if;
    update public.socratic_sessions set
        insights_generated = array(
            select e.insight ->> 'text' from jsonb_array_elements(p_insights) with ordinality as e (insight, n)
            order by e.n
        ),
        session_metadata = session_metadata || jsonb_build_object(
            'insights', p_insights,
            'insights_run', jsonb_build_object(
                'model', p_model, 'prompt_version', p_prompt_version, 'metrics', coalesce(p_metrics, '{}')
            )
        )
    where id = p_session_id and ended_at is not null and not session_metadata ? 'insights';
    return found;
end
$$;

comment on function public.svc_finish_socratic_insights(uuid, jsonb, text, text, jsonb) is
    'Stores the insights of an ended session once: their texts in insights_generated, and [{text, message_id, quote}] in '
    'session_metadata.insights. False, and nothing changes, when they are there or the session is gone. 22023 when one '
    'quotes no line of the session.';

create function private.sweep_socratic()
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
        select m.id from public.socratic_messages as m
        where m.status = 'streaming' and m.created_at < private.clock() - interval '1 minute'
            -- a part of the last minute shows that a worker is still writing
            and not exists (
                select from private.generation_events as e
                where e.stream_id = m.id and e.at >= private.clock() - interval '1 minute'
            )
            and m.id::text <> all ((select private.live_job_keys('{socratic_answer}', 'message_id'))::text[])
        order by m.id
    loop
        v_count := v_count + private.close_socratic(v_row.id, 'interrupted')::int;
    end loop;

    -- of one learner at a time, because each ended session enqueues a job, and that locks the learner's slots
    for v_row in
        with idle as (
            select s.id, s.user_id from public.socratic_sessions as s
            where s.ended_at is null and s.started_at < private.clock() - interval '2 hours'
                and not exists (
                    select from public.socratic_messages as m
                    where m.session_id = s.id
                        and (m.occurred_at >= private.clock() - interval '2 hours' or m.status = 'streaming')
                )
        )
        select s.id from public.socratic_sessions as s
        where s.id in (select i.id from idle as i where i.user_id = (select min(user_id::text)::uuid from idle))
            and s.ended_at is null
        order by s.id
        for update skip locked
    loop
        update public.socratic_sessions set ended_at = greatest(started_at, private.clock()) where id = v_row.id;
        v_count := v_count + 1;
    end loop;
    return v_count;
end
$$;

comment on function private.sweep_socratic() is
    'Ends agents'' lines whose writer died, as interrupted, and the sessions of one learner in which nothing was said '
    'for two hours. Returns how many.';

create or replace function public.svc_sweep_generations()
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
        select m.id from public.messages as m
        where m.status = 'streaming' and m.created_at < private.clock() - interval '1 minute'
            -- a part of the last minute shows that a worker is still writing
            and not exists (
                select from private.generation_events as e
                where e.stream_id = m.id and e.at >= private.clock() - interval '1 minute'
            )
            and m.id::text <> all ((select private.live_job_keys('{chat_answer}', 'message_id'))::text[])
        order by m.id
    loop
        v_count := v_count + private.close_answer(v_row.id, 'interrupted')::int;
    end loop;

    -- a failed or cancelled job is proof enough; where no job is found, an hour must have passed
    for v_row in
        select h.id from public.headstart_runs as h
        where h.status in ('queued', 'running')
            and h.id::text <> all ((select private.live_job_keys('{headstart}', 'run_id'))::text[])
            and (
                coalesce(h.started_at, h.created_at) < private.clock() - interval '1 hour'
                or exists (
                    select from public.jobs as j
                    join private.job_runtime as r on r.job_id = j.id
                    where j.user_id = h.user_id
                        and j.status in ('failed', 'cancelled')
                        and j.type = 'headstart'
                        and r.payload ->> 'run_id' = h.id::text
                )
            )
        for update of h skip locked
    loop
        perform public.svc_finish_headstart_run(
            v_row.id, 'failed', null, 'interrupted: the work stopped before it was done', '{}'
        );
        v_count := v_count + 1;
    end loop;
    return v_count + private.sweep_questions() + private.sweep_socratic() + private.fail_stuck_rows();
end
$$;

comment on function public.svc_sweep_generations() is
    'Ends what no live job will finish: answers of the assistant and of the companion (interrupted, keeping the text '
    'so far), headstart runs, lectures, reviews and content sources (failed), and idle Socratic sessions; returns how '
    'many. Called by workers every few seconds and by svc_purge_expired.';

create or replace function private.has_row(p_bucket text, p_name text)
returns boolean
language sql
stable
strict
security definer
set search_path = ''
as $$
    select case
        when p_bucket = 'documents' then exists (
            select from public.documents where storage_key = 'documents/' || p_name
        )
        when p_bucket = 'content' then exists (
            select from public.content_sources where storage_key = 'content/' || p_name
        )
        when p_bucket = 'socratic-audio' then exists (
            select from public.socratic_messages where audio_url = 'socratic-audio/' || p_name
        )
        -- a lecture's files carry its id; a failed lecture keeps none
        when p_bucket in ('audio', 'transcripts') then exists (
            select from public.lectures
            where id = substring(p_name from '^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}')::uuid
                and status <> 'failed'
        )
    end;
$$;

comment on function private.has_row(text, text) is
    'Whether a row answers for a file of a bucket. Null for buckets that are not swept.';

grant execute on function public.svc_begin_socratic(uuid, uuid, text, text, text, uuid, text, numeric) to service_role;

grant execute on function public.svc_load_socratic(uuid) to service_role;

grant execute on function public.svc_finish_socratic(
    uuid, text, text, text, jsonb, text, text, text, text, bigint
) to service_role;

grant execute on function public.svc_store_socratic_speech(uuid, text, text) to service_role;

grant execute on function public.svc_stop_socratic(uuid, uuid) to service_role;

grant execute on function public.svc_end_socratic(uuid, uuid) to service_role;

grant execute on function public.svc_finish_socratic_insights(uuid, jsonb, text, text, jsonb) to service_role;
