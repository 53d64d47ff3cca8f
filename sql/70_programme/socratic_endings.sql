-- How a Socratic session ends: by its learner over REST or through the service, or by the sweep after two idle hours.
-- However it ends, the agent's running line is stopped and the job of the insights is enqueued.

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
    'job_id is the job that writes them; after a failed one it is a new one. PT404 when the learner has no such '
    'session.';

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
    -- with its week, while the model wrote; its lines cannot be quoted any more
    perform from public.socratic_sessions where id = p_session_id for no key update;
    if not found then
        return false;
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
    'Stores the insights of an ended session once: their texts in insights_generated, and [{text, message_id, quote}] '
    'in session_metadata.insights. False, and nothing changes, when they are there or the session is gone. 22023 when '
    'one quotes no line of the session.';

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
