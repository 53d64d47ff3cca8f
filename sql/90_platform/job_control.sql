-- Around the queue: what the owner may ask for, the clock, pauses, and forgetting.

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
        raise exception 'which job' using errcode = '22004';
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
    perform from private.job_runtime where job_id = p_job_id for update;
    select * into v_job from public.jobs where id = p_job_id for update;
    if v_job.status = 'queued' then
        update public.jobs
        set status = 'cancelled', cancel_requested = true, completed_at = private.clock()
        where id = p_job_id returning * into v_job;
        update private.job_runtime set state = 'over' where job_id = p_job_id;
        perform private.admit_jobs(array[v_job.user_id]);
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
language sql
volatile
security definer
set search_path = ''
as $$
    select private.end_live_job(private.own_job(p_id));
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

create function private.retry_job(p_id uuid)
returns public.jobs
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_job public.jobs;
begin
    perform private.own_job(p_id);
    perform from private.job_runtime where job_id = p_id for update;
    select * into v_job from public.jobs where id = p_id for update;
    if v_job.status is distinct from 'failed' then
        raise exception 'only a failed job is tried again' using errcode = 'PT409';
    end if;
    begin
        update public.jobs
        set status = 'queued', retry_count = 0, cancel_requested = false, error_code = null, error_message = null,
            scheduled_at = private.clock(), completed_at = null
        where id = p_id returning * into v_job;
    exception when unique_violation then
        raise exception 'the same work is under way' using errcode = 'PT409';
    end;
    perform private.queue_jobs(array[p_id]);
    return v_job;
end
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

create function public.svc_pause_provider(p_provider text, p_seconds numeric)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if p_provider is null or p_seconds is null then
        raise exception 'which provider, for how long' using errcode = '22004';
    end if;
    if p_seconds < 0 or p_seconds > 86400 * 30 then
        raise exception 'a pause is 0 to 30 days' using errcode = '22003';
    end if;
    insert into private.provider_buckets as b (provider, tokens, capacity, refill_per_s, refilled_at, paused_until)
    values (p_provider, 1000, 1000, 1000, private.clock(), private.clock() + make_interval(secs => p_seconds::float8))
    on conflict (provider) do update
    -- a longer pause that somebody else asked for stays; zero ends any
    set paused_until = case when p_seconds > 0 then greatest(b.paused_until, excluded.paused_until) end;
end
$$;

comment on function public.svc_pause_provider(text, numeric) is
    'No job of this provider is handed out for so many seconds; 0 ends a pause.';

create function public.svc_tick_schedules()
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_now constant timestamptz := private.clock();
    v_schedule private.job_schedules;
    v_due timestamptz;
    v_count int := 0;
begin
    for v_schedule in
        select * from private.job_schedules where next_run_at <= v_now order by name for update skip locked
    loop
        v_due := v_schedule.next_run_at;
        -- a moment more than five minutes ago was missed
        if v_schedule.catch_up <> 'skip' or v_due > v_now - interval '5 minutes' then
            perform public.svc_enqueue_job(
                p_type => v_schedule.type::text, p_payload => v_schedule.payload,
                p_dedupe_key => format('schedule:%s:%s', v_schedule.name, extract(epoch from v_due)::bigint)
            );
            v_count := v_count + 1;
        end if;
        update private.job_schedules
        set next_run_at = private.cron_next(
            v_schedule.cron, v_schedule.tz, case v_schedule.catch_up when 'all' then v_due else v_now end
        )
        where name = v_schedule.name;
    end loop;
    return v_count;
end
$$;

comment on function public.svc_tick_schedules() is
    'Enqueues what the clock asks for, each due moment once however many workers tick. Returns how many.';

create function private.purge_jobs()
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_now constant timestamptz := private.clock();
    v_old constant uuid[] := array(
        select id from public.jobs
        where completed_at < v_now - interval '30 days'
            and (status in ('succeeded', 'cancelled') or (status = 'failed' and completed_at < v_now - interval '90 days'))
        order by created_at
        limit 5000
    );
    v_ours uuid[];
    v_count int;
begin
    -- the workers' rows first, as everywhere; who has one at this moment may be trying the job again
    v_ours := array(select job_id from private.job_runtime where job_id = any (v_old) for update skip locked);
    delete from public.jobs where id = any (array(
        select j.id from public.jobs as j
        where j.id = any (v_old) and j.completed_at < v_now - interval '30 days'
            and (j.id = any (v_ours) or not exists (select from private.job_runtime as r where r.job_id = j.id))
        for update skip locked
    ));
    get diagnostics v_count = row_count;
    return jsonb_build_object('jobs', v_count);
end
$$;

comment on function private.purge_jobs() is
    'Forgets jobs 30 days after success or cancellation, 90 after failure; at most 5000 a call.';
