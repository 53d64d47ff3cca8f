-- How work is asked for.

create function public.svc_enqueue_job(
    p_type text,
    p_payload jsonb default '{}',
    p_user_id uuid default null,
    p_week_id uuid default null,
    p_dedupe_key text default null,
    p_dedupe_mode text default 'join',
    p_priority int default 0,
    p_scheduled_at timestamptz default null,
    p_max_retries int default 3,
    p_timeout_s int default 600,
    p_provider text default null
)
returns table (job_id uuid, created boolean)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_id uuid;
begin
    if p_type is null or p_payload is null then
        raise exception 'p_type and p_payload must not be null' using errcode = '22004';
    end if;
    if p_type <> all (enum_range(null::public.job_type)::text[]) then
        raise exception 'p_type must be one of the job types' using errcode = '22023';
    end if;
    if p_dedupe_mode is distinct from 'join' and p_dedupe_mode is distinct from 'queued' then
        raise exception 'p_dedupe_mode must be join or queued' using errcode = '22023';
    end if;
    if p_priority not between -1000 and 1000 then
        raise exception 'p_priority must be between -1000 and 1000' using errcode = '22003';
    end if;
    perform private.check_time('p_scheduled_at', p_scheduled_at);
    -- the job that has the key may end, or begin, between our insert and our look: then look again
    for i in 1 .. 10 loop
        if p_dedupe_mode = 'queued' then
            -- a running job may have read its input before the change this one stands for: it gives its key up.
            -- Its owner comes first, as when a person is deleted
            perform from public.profiles where user_id = p_user_id for key share;
            update public.jobs set dedupe_key = null where dedupe_key = p_dedupe_key and status = 'running';
        end if;
        insert into public.jobs (
            type, user_id, week_id, dedupe_key, priority, scheduled_at, max_retries, timeout_s, provider
        )
        values (
            p_type::public.job_type, p_user_id, p_week_id, p_dedupe_key, coalesce(p_priority, 0),
            coalesce(p_scheduled_at, private.clock()), coalesce(p_max_retries, 3), coalesce(p_timeout_s, 600),
            p_provider
        )
        on conflict (dedupe_key) where status in ('queued', 'running') do nothing
        returning id into v_id;
        if found then
            insert into private.job_runtime (job_id, payload, type, user_id, provider)
            values (v_id, p_payload, p_type::public.job_type, p_user_id, p_provider);
            perform private.fill_slots(private.line_up(array[v_id]));
            return query select v_id, true;
            return;
        end if;
        if p_dedupe_mode = 'join' then
            select id into v_id from public.jobs where dedupe_key = p_dedupe_key and status in ('queued', 'running');
        else
            -- held until our change is committed, so that no worker begins it before
            select id into v_id from public.jobs where dedupe_key = p_dedupe_key and status = 'queued' for share;
        end if;
        if found then
            return query select v_id, false;
            return;
        end if;
    end loop;
    raise exception 'p_dedupe_key is taken and freed too fast; try again' using errcode = '40001';
end
$$;

comment on function public.svc_enqueue_job(text, jsonb, uuid, uuid, text, text, int, timestamptz, int, int, text) is
    'Asks for work. A live job with the same p_dedupe_key is returned instead (created false). Mode queued joins only '
    'one that still waits: a running one gives its key up, so that a change made meanwhile is not lost. Enqueue for '
    'several people in one transaction in the order of their ids (private.fill_slots).';
