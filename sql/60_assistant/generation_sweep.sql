-- Ends answers and headstarts whose writer died, and (by private.fail_stuck_rows, 90_platform) other rows whose job is
-- gone. A row keeps its live state while its job may still run. Once no job will run, its reader would wait for ever,
-- and the guard against a second live run would refuse a new one.

create function public.svc_sweep_generations()
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
    v_count := v_count + private.sweep_questions() + private.fail_stuck_rows();
    -- at the end: it locks a learner's slots, and whoever begins work counts it on a meter before they take slots
    return v_count + private.sweep_socratic();
end
$$;

comment on function public.svc_sweep_generations() is
    'Ends what no live job will finish: answers of the assistant and of the companion (interrupted, keeping the text '
    'so far), headstart runs, lectures, reviews and content sources (failed), and idle Socratic sessions; returns how '
    'many. Called by workers every few seconds and by svc_purge_expired.';
