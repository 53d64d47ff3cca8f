-- What the owner of a job may ask for, and what operators may do in anybody's name.

create function private.own_job(p_id uuid)
returns uuid
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_me constant uuid := private.require_caller();
begin
    if p_id is null then
        raise exception 'p_id must not be null' using errcode = '22004';
    end if;
    if not exists (select from public.jobs where id = p_id and user_id = v_me) then
        raise exception 'no such job' using errcode = 'PT404';
    end if;
    return p_id;
end
$$;

comment on function private.own_job(uuid) is 'The id again, if it is a job of the caller''s; PT404 for any other.';

create function private.end_live_job(p_job_id uuid)
returns public.jobs
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_job public.jobs;
begin
    -- waits for a claim that is taking it; then it is running
    select * into v_job from public.jobs where id = p_job_id for no key update;
    if v_job.status = 'queued' then
        update public.jobs
        set status = 'cancelled', cancel_requested = true, completed_at = private.clock()
        where id = p_job_id returning * into v_job;
        update private.job_runtime set state = 'over' where job_id = p_job_id;
        perform private.fill_slots(array[v_job.user_id]);
    elsif v_job.status = 'running' then
        update public.jobs set cancel_requested = true where id = p_job_id returning * into v_job;
    else
        raise exception 'the job is over' using errcode = 'PT409';
    end if;
    return v_job;
end
$$;

comment on function private.end_live_job(uuid) is
    'Cancels a job: at once while it waits, at its worker''s next heartbeat while it runs. PT409 when it is over.';

create function private.cancel_job(p_id uuid)
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

comment on function private.cancel_job(uuid) is 'See public.cancel_job.';

create function public.cancel_job(p_id uuid)
returns public.jobs
language sql
volatile
set search_path = ''
begin atomic
    select private.cancel_job(p_id);
end;

comment on function public.cancel_job(uuid) is
    'Ends an own job: at once while it waits, at the worker''s next heartbeat while it runs. 409 when it is over.';

create function private.requeue_job(p_job_id uuid)
returns public.jobs
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_job public.jobs;
begin
    select * into v_job from public.jobs where id = p_job_id for no key update;
    if v_job.status is distinct from 'failed' then
        raise exception 'only a failed job can be tried again' using errcode = 'PT409';
    end if;
    begin
        update public.jobs
        set status = 'queued', retry_count = 0, cancel_requested = false, error_code = null, error_message = null,
            progress = '{}', scheduled_at = private.clock(), completed_at = null
        where id = p_job_id returning * into v_job;
    exception when unique_violation then
        raise exception 'the same work is under way' using errcode = 'PT409';
    end;
    perform private.fill_slots(private.line_up(array[p_job_id]));
    return v_job;
end
$$;

comment on function private.requeue_job(uuid) is
    'Queues a failed job from the start. PT409 in any other state, or while a live job has its key.';

create function private.retry_job(p_id uuid)
returns public.jobs
language sql
volatile
security definer
set search_path = ''
as $$
    select private.requeue_job(private.own_job(p_id));
$$;

comment on function private.retry_job(uuid) is 'See public.retry_job.';

create function public.retry_job(p_id uuid)
returns public.jobs
language sql
volatile
set search_path = ''
begin atomic
    select private.retry_job(p_id);
end;

comment on function public.retry_job(uuid) is 'Tries an own failed job again, from the start. 409 in any other state.';
