-- How jobs get into the line and how a person's slots are given to them.
--
-- Lock order of the whole queue: rows of jobs, their rows of job_runtime, then owners' slots, then providers' buckets,
-- each sorted. Whoever takes rows out of this order skips what is locked, so that nothing waits in a circle.

create function private.job_cap(p_user_id uuid)
returns int
language sql
stable
set search_path = ''
as $$
    select coalesce((select slots from private.job_caps where user_id = p_user_id), 4);
$$;

comment on function private.job_cap(uuid) is 'How many jobs of a person may be ready or running at once.';

create function private.fill_slots(p_owners uuid[])
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_owner uuid;
    v_best timestamptz;
begin
    perform pg_advisory_xact_lock(hashtextextended(owner::text, 90))
    from (select distinct o as owner from unnest(p_owners) as o where o is not null order by o) as owners;
    for v_owner in select distinct o from unnest(p_owners) as o where o is not null loop
        select rank into v_best from private.job_runtime
        where user_id = v_owner and state = 'waiting' order by rank, job_id limit 1;
        continue when v_best is null;
        -- a ready job that ranks after a waiting one competes for its slot again
        update private.job_runtime set state = 'waiting' where job_id = any (array(
            select job_id from private.job_runtime
            where user_id = v_owner and state = 'ready' and rank > v_best
            for no key update skip locked
        ));
        for i in 1 .. private.job_cap(v_owner) - (
            select count(*) from private.job_runtime where user_id = v_owner and state in ('ready', 'running')
        ) loop
            update private.job_runtime set state = 'ready' where job_id = (
                select job_id from private.job_runtime
                where user_id = v_owner and state = 'waiting'
                order by rank, job_id limit 1
                for no key update skip locked
            );
            exit when not found;
        end loop;
    end loop;
end
$$;

comment on function private.fill_slots(uuid[]) is
    'Locks these owners'' slots in id order and gives the free ones to their waiting jobs, best rank first. Call it '
    'once per transaction, with all owners, after every row lock: a second call could wait for somebody who waits for '
    'the first.';

create function private.line_up(p_job_ids uuid[])
returns uuid[]
language sql
volatile
security definer
set search_path = ''
as $$
    with lined_up as (
        update private.job_runtime as r
        set rank = j.scheduled_at - make_interval(mins => 5 * j.priority),
            due_at = j.scheduled_at,
            state = case
                when j.scheduled_at > private.clock() then 'later' when j.user_id is null then 'ready' else 'waiting'
            end::private.job_state
        from public.jobs as j
        where j.id = any (p_job_ids) and r.job_id = j.id and j.status = 'queued'
        returning r.user_id
    )
    select array_agg(distinct user_id) from lined_up;
$$;

comment on function private.line_up(uuid[]) is
    'Puts those of these jobs that are queued into the line. Returns their owners; give them to private.fill_slots.';
