-- Answers and headstarts whose writer died. A row keeps its live state while its job may still run again; once no job
-- will, the reader must not wait for ever and the guards against a second live run must open.

create function private.live_job(p_type text, p_key text, p_id uuid)
returns boolean
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    -- the live set is small: finished jobs are never looked at
    return exists (
        select from public.jobs as j
        join private.job_runtime as r on r.job_id = j.id
        where j.status in ('queued', 'running')
            and j.type::text = p_type
            and r.payload ->> p_key = p_id::text
    );
end
$$;

comment on function private.live_job(text, text, uuid) is
    'Whether a queued or running job of this type names this row in its payload.';

create function public.svc_sweep_generations()
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_row record;
    v_text text;
    v_count int := 0;
begin
    for v_row in
        select m.id, m.created_at from public.messages as m
        where m.status = 'streaming' and m.created_at < private.clock() - interval '1 minute'
        for update skip locked
    loop
        -- a word in the last minute shows that somebody is still writing
        if exists (
            select from private.generation_events as e
            where e.stream_id = v_row.id and e.at >= private.clock() - interval '1 minute'
        ) or private.live_job('chat_answer', 'message_id', v_row.id) then
            continue;
        end if;
        select coalesce(string_agg(e.part ->> 'delta', '' order by e.seq), '') into v_text
        from private.generation_events as e
        where e.stream_id = v_row.id and e.part ->> 'type' = 'text-delta';
        update public.messages set status = 'interrupted', content = left(v_text, 200000) where id = v_row.id;
        v_count := v_count + 1;
    end loop;

    for v_row in
        select r.id, r.user_id, coalesce(r.started_at, r.created_at) as since from public.headstart_runs as r
        where r.status in ('queued', 'running')
        for update skip locked
    loop
        if private.live_job('headstart', 'run_id', v_row.id) then
            continue;
        end if;
        -- a job that ended badly says so at once; without any trace of one, an hour must pass
        if v_row.since < private.clock() - interval '1 hour' or exists (
            select from public.jobs as j
            join private.job_runtime as r on r.job_id = j.id
            where j.user_id = v_row.user_id and j.type = 'headstart' and j.status in ('failed', 'cancelled')
                and r.payload ->> 'run_id' = v_row.id::text
        ) then
            perform public.svc_finish_headstart_run(
                v_row.id, 'failed', null, 'interrupted: the work stopped before it was done', '{}'
            );
            v_count := v_count + 1;
        end if;
    end loop;
    return v_count;
end
$$;

comment on function public.svc_sweep_generations() is
    'Ends answers (interrupted, keeping the text so far) and headstart runs (failed) that no live job will '
    'finish; returns how many. Called by workers every few seconds and by svc_purge_expired.';
