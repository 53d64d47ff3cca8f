-- Cancelling the job of a headstart ends its run, too, at once.
-- Touches: 90_platform. Undo: restore private.cancel_job() of 20261128121000_create_platform.sql.

set lock_timeout = '5s';

create or replace function private.cancel_job(p_id uuid)
returns public.jobs
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_job public.jobs;
    v_run_id uuid;
begin
    select * into v_job from public.jobs where id = private.own_job(p_id);
    if v_job.type = 'headstart' then
        select id into v_run_id from public.headstart_runs
        where user_id = v_job.user_id and v_job.dedupe_key = 'headstart:' || id and status in ('queued', 'running');
    end if;
    if v_run_id is null then
        return private.end_live_job(p_id);
    end if;
    -- ends the run and then its job, in the order in which everybody locks them
    perform public.svc_cancel_headstart_run(v_run_id, v_job.user_id);
    select * into v_job from public.jobs where id = p_id;
    return v_job;
end
$$;
