-- What a worker, and an owner who cancels, do with a run. They may call at the same moment, and so may an earlier
-- worker that was thought dead. So each function locks the stream first, as svc_append_generation does, then the run. A
-- writer passes the number of the last event it knows, which proves that it is the current one.

create function public.svc_begin_headstart_run(
    p_run_id uuid,
    p_model text,
    p_prompt_version text,
    p_prompt_hash text
)
returns table (status text, user_id uuid, assignment_id uuid, seq bigint, attempts int, text_released boolean)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_run public.headstart_runs;
    v_released boolean := false;
begin
    if p_run_id is null then
        raise exception 'p_run_id must not be null' using errcode = '22004';
    end if;
    perform pg_advisory_xact_lock(hashtextextended(p_run_id::text, 0));
    select * into v_run from public.headstart_runs where id = p_run_id for update;
    if not found then
        raise exception 'no run has the id in p_run_id' using errcode = 'PT404';
    end if;
    -- done, hidden or handed in since it started by itself, or written by another run with these prompts
    if v_run.status in ('queued', 'running') and v_run.trigger <> 'manual' and (
        not exists (select from public.v_open_assignments as o where o.id = v_run.assignment_id)
        or exists (
            select from public.headstart_runs as r
            where r.assignment_id = v_run.assignment_id and r.trigger = v_run.trigger and r.id <> p_run_id
                and r.assignment_hash = v_run.assignment_hash and r.prompt_version = p_prompt_version
        )
    ) then
        perform public.svc_end_headstart_run(
            p_run_id, v_run.seq, 'cancelled', null, 'cancelled: it is no longer needed', v_run.metrics
        );
        select * into v_run from public.headstart_runs where id = p_run_id;
    end if;
    if v_run.status in ('queued', 'running') then
        update public.headstart_runs
        set status = 'running', model = p_model, prompt_version = p_prompt_version, prompt_hash = p_prompt_hash,
            task_hash = (
                select private.task_hash(
                    a.title, a.description_html, a.points_possible, a.submission_types, a.raw_payload
                )
                from public.assignments as a where a.id = v_run.assignment_id
            )
        where id = p_run_id;
        -- the new number also stops a worker that held the run before: its writes name an older one
        perform public.svc_append_generation(
            p_run_id, v_run.seq + 1, array['{"type": "status", "status": "running"}'::jsonb]
        );
        select exists (
            select from private.generation_events as e
            where e.stream_id = p_run_id and e.part ->> 'type' = 'text-delta'
        ) into v_released;
        select * into v_run from public.headstart_runs where id = p_run_id;
    end if;
    return query select
        v_run.status::text, v_run.user_id, v_run.assignment_id, v_run.seq,
        coalesce((v_run.metrics ->> 'attempts')::int, 0), v_released;
end
$$;

comment on function public.svc_begin_headstart_run(uuid, text, text, text) is
    'A worker takes a run: it becomes running, and an event says so. Returns how many calls of the model were made '
    'before, and whether text was released already, which happens when an earlier worker died. A run that started by '
    'itself and is no longer needed ends as cancelled. A finished run does not change. PT404 when the run does not '
    'exist.';

create function public.svc_count_headstart_call(p_run_id uuid, p_seq bigint)
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_attempts int;
begin
    if p_run_id is null or p_seq is null then
        raise exception 'p_run_id and p_seq must not be null' using errcode = '22004';
    end if;
    update public.headstart_runs
    set metrics = jsonb_set(metrics, '{attempts}', to_jsonb(coalesce((metrics ->> 'attempts')::int, 0) + 1))
    where id = p_run_id and status = 'running' and seq = p_seq
    returning (metrics ->> 'attempts')::int into v_attempts;
    return v_attempts;
end
$$;

comment on function public.svc_count_headstart_call(uuid, bigint) is
    'Counts a call of the model before it is made, so that the call of a killed worker counts, too. Returns the new '
    'count; null when the run is over or another worker writes it (p_seq is not its last event).';

create function public.svc_end_headstart_run(
    p_run_id uuid,
    p_seq bigint,
    p_status text,
    p_doc jsonb default null,
    p_error text default null,
    p_metrics jsonb default '{}'
)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_run public.headstart_runs;
    v_doc_id uuid;
    v_parts jsonb[];
begin
    if p_run_id is null or p_seq is null or p_status is null then
        raise exception 'p_run_id, p_seq and p_status must not be null' using errcode = '22004';
    end if;
    perform pg_advisory_xact_lock(hashtextextended(p_run_id::text, 0));
    select * into v_run from public.headstart_runs where id = p_run_id for update;
    if not found then
        raise exception 'no run has the id in p_run_id' using errcode = 'PT404';
    end if;
    if v_run.status = 'cancelled' and p_status = 'cancelled' then
        -- the owner cancelled it; the worker adds what it cost
        update public.headstart_runs set metrics = p_metrics where id = p_run_id;
        return true;
    end if;
    if v_run.status not in ('queued', 'running') or v_run.seq <> p_seq then
        return false;
    end if;
    v_doc_id := public.svc_finish_headstart_run(p_run_id, p_status, p_doc, p_error, p_metrics);
    v_parts := case p_status
        when 'succeeded' then array[
            jsonb_build_object(
                'type', 'doc', 'doc_id', v_doc_id, 'status', 'ready', 'title', p_doc ->> 'title',
                'summary', p_doc ->> 'summary'
            ),
            jsonb_build_object('type', 'finish', 'status', 'succeeded', 'doc_id', v_doc_id)
        ]
        when 'failed' then array[
            jsonb_build_object(
                'type', 'error', 'code', split_part(p_error, ':', 1),
                'message', ltrim(substr(p_error, strpos(p_error, ':') + 1))
            )
        ]
        else array['{"type": "abort", "status": "cancelled"}'::jsonb]
    end;
    perform public.svc_append_generation(p_run_id, p_seq + 1, v_parts);
    return true;
end
$$;

comment on function public.svc_end_headstart_run(uuid, bigint, text, jsonb, text, jsonb) is
    'Ends a run and its stream in one transaction: svc_finish_headstart_run, then the last events (doc and finish, or '
    'error, or abort). False, and nothing changes, when the run is over or p_seq is not its last event. A cancelled '
    'run still takes the metrics of its worker.';

create function public.svc_cancel_headstart_run(p_run_id uuid, p_user_id uuid)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_run public.headstart_runs;
    v_used record;
begin
    if p_run_id is null or p_user_id is null then
        raise exception 'p_run_id and p_user_id must not be null' using errcode = '22004';
    end if;
    perform pg_advisory_xact_lock(hashtextextended(p_run_id::text, 0));
    select * into v_run from public.headstart_runs where id = p_run_id and user_id = p_user_id for update;
    if not found then
        raise exception 'no run of this person has the id in p_run_id' using errcode = 'PT404';
    end if;
    if v_run.status not in ('queued', 'running') then
        raise exception 'the run has ended and cannot be cancelled' using errcode = 'PT409', hint = 'Read its result.';
    end if;
    select
        coalesce(sum(u.prompt_tokens), 0) as prompt_tokens, coalesce(sum(u.completion_tokens), 0) as completion_tokens,
        coalesce(sum(u.cached_tokens), 0) as cached_tokens, coalesce(bool_or(u.is_estimated), false) as is_estimated,
        case when count(*) = count(u.cost_usd) then coalesce(sum(u.cost_usd), 0)::text end as cost_usd
    into v_used
    from private.model_usage as u
    join public.jobs as j on j.id = u.job_id
    where j.dedupe_key = 'headstart:' || p_run_id;
    -- a worker that still writes adds the last numbers
    perform public.svc_end_headstart_run(
        p_run_id, v_run.seq, 'cancelled', null, 'cancelled: the owner ended it',
        jsonb_build_object(
            'attempts', coalesce((v_run.metrics ->> 'attempts')::int, 0), 'prompt_tokens', v_used.prompt_tokens,
            'completion_tokens', v_used.completion_tokens, 'cached_tokens', v_used.cached_tokens,
            'cost_usd', v_used.cost_usd, 'latency_ms', 0, 'usage_estimated', v_used.is_estimated, 'parse_path', null
        )
    );
    perform private.end_live_job(j.id) from public.jobs as j
    where j.dedupe_key = 'headstart:' || p_run_id and j.status in ('queued', 'running');
end
$$;

comment on function public.svc_cancel_headstart_run(uuid, uuid) is
    'Cancels a person''s run at once, with its stream. Its job ends, too; a running one when its worker asks next. '
    'PT404 for a missing run or another person''s, PT409 for one that has ended.';
