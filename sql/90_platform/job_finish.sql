-- How attempts end. Each call may be said twice, because its answer may be lost: the lease decides what it still
-- changes.

create function public.svc_complete_jobs(p_jobs jsonb)
returns table (job_id uuid, done boolean)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_held constant uuid[] := private.held_jobs(p_jobs);
begin
    update public.jobs as j
    set status = 'succeeded', completed_at = private.clock(), result = nullif(s.result, 'null')
    from jsonb_to_recordset(p_jobs) as s (job_id uuid, lease_token uuid, result jsonb)
    join private.job_runtime as r on r.job_id = s.job_id and r.lease_token = s.lease_token
    where j.id = any (v_held) and j.id = s.job_id;
    update private.job_runtime set state = 'over', payload = '{}' where job_id = any (v_held);
    perform private.fill_slots(array(select user_id from private.job_runtime where job_id = any (v_held)));
    return query
    select s.job_id, coalesce(j.status = 'succeeded', false)
    from jsonb_to_recordset(p_jobs) as s (job_id uuid, lease_token uuid)
    left join private.job_runtime as r on r.job_id = s.job_id and r.lease_token = s.lease_token
    left join public.jobs as j on j.id = r.job_id;
end
$$;

comment on function public.svc_complete_jobs(jsonb) is
    'Ends jobs in success, with their results. done false: the lease was lost and nothing was changed. Saying it '
    'again under the same lease changes nothing and is answered with done true.';

create function private.end_attempt(
    p_job_id uuid, p_error_code text, p_error_message text, p_error_detail text, p_retryable boolean, p_wait_s numeric
)
returns public.jobs
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_job public.jobs;
begin
    update public.jobs as j
    set status = s.status,
        scheduled_at = case when s.status = 'queued' and p_wait_s > 0
            then private.clock() + make_interval(secs => p_wait_s::float8) else j.scheduled_at end,
        retry_count = j.retry_count + (s.status = 'queued')::int,
        progress = case when s.status = 'queued' then '{}' else j.progress end,
        error_code = left(coalesce(p_error_code, 'internal'), 200),
        error_message = left(p_error_message, 500),
        completed_at = case when s.status <> 'queued' then private.clock() end
    from (
        select case
            when cancel_requested then 'cancelled'
            when p_retryable and retry_count < max_retries then 'queued'
            else 'failed'
        end::public.job_status as status
        from public.jobs where id = p_job_id
    ) as s
    where j.id = p_job_id
    returning j.* into v_job;
    update private.job_runtime set state = 'over', error_detail = left(p_error_detail, 4000) where job_id = p_job_id;
    perform private.line_up(array[p_job_id]);
    return v_job;
end
$$;

comment on function private.end_attempt(uuid, text, text, text, boolean, numeric) is
    'Ends an attempt without success: queued again after p_wait_s seconds, failed when no attempt is left, cancelled '
    'when asked for. The caller holds both rows and fills the owner''s slots afterwards.';

create function public.svc_fail_job(
    p_job_id uuid,
    p_lease_token uuid,
    p_error_code text,
    p_error_message text,
    p_retryable boolean default true,
    p_retry_after_s int default null,
    p_error_detail text default null
)
returns table (status text, scheduled_at timestamptz)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_job public.jobs;
    v_wait numeric;
begin
    if p_job_id is null or p_lease_token is null then
        raise exception 'p_job_id and p_lease_token must not be null' using errcode = '22004';
    end if;
    if private.held_jobs(
        jsonb_build_array(jsonb_build_object('job_id', p_job_id, 'lease_token', p_lease_token))
    ) = '{}' then
        return;
    end if;
    -- half fixed, half random, so that what failed together does not come back together
    select least(3600, 30 * 2 ^ least(retry_count, 10)) into v_wait from public.jobs where id = p_job_id;
    v_wait := greatest(v_wait / 2 + v_wait / 2 * private.jitter()::numeric, least(coalesce(p_retry_after_s, 0), 86400));
    v_job := private.end_attempt(
        p_job_id, p_error_code, p_error_message, p_error_detail, coalesce(p_retryable, true), v_wait
    );
    perform private.fill_slots(array[v_job.user_id]);
    return query select v_job.status::text, v_job.scheduled_at;
end
$$;

comment on function public.svc_fail_job(uuid, uuid, text, text, boolean, int, text) is
    'Ends an attempt in failure: queued again (at scheduled_at) or over. No row when the lease was lost; then nothing '
    'is changed.';

create function public.svc_release_jobs(p_jobs jsonb)
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_held constant uuid[] := private.held_jobs(p_jobs);
begin
    update public.jobs
    set status = case when cancel_requested then 'cancelled' else 'queued' end::public.job_status,
        completed_at = case when cancel_requested then private.clock() end,
        progress = '{}'
    where id = any (v_held);
    update private.job_runtime set state = 'over' where job_id = any (v_held);
    perform private.line_up(v_held);
    perform private.fill_slots(array(select user_id from private.job_runtime where job_id = any (v_held)));
    return cardinality(v_held);
end
$$;

comment on function public.svc_release_jobs(jsonb) is
    'Gives jobs back as they were, the attempt not counted: for a worker that stops in good order. Returns how many.';
