-- What keeps the line moving: leases that ran out, jobs whose moment has come, slots that were left over. Workers call
-- svc_reap_expired_jobs every few seconds; claims that find too few ready jobs do a little of it.

create function private.tidy_jobs(p_limit int, p_all_owners boolean)
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_job record;
    v_owners uuid[] := '{}';
    v_count int := 0;
begin
    for v_job in
        select j.id, j.user_id from private.job_runtime as r
        join public.jobs as j on j.id = r.job_id and j.status = 'running'
        where r.state = 'running' and r.locked_until < private.clock()
        limit p_limit
        for no key update of j, r skip locked
    loop
        -- no back-off: most likely the worker died, and not by this job
        perform private.end_attempt(
            v_job.id, 'lease_expired', 'The work was interrupted and is tried again.', 'the lease ran out', true, 0
        );
        v_owners := v_owners || v_job.user_id;
        v_count := v_count + 1;
    end loop;
    with due as (
        update private.job_runtime
        set state = case when user_id is null then 'ready' else 'waiting' end::private.job_state
        where job_id = any (array(
            select job_id from private.job_runtime
            where state = 'later' and due_at <= private.clock()
            order by due_at
            limit p_limit
            for no key update skip locked
        ))
        returning user_id
    )
    select v_owners || array_agg(user_id) into v_owners from due;
    if p_all_owners then
        -- whose waiting job was passed by while somebody held its row
        v_owners := v_owners || array(
            select w.user_id
            from (select distinct user_id from private.job_runtime where state = 'waiting') as w
            where private.job_cap(w.user_id) > (
                select count(*) from private.job_runtime as r
                where r.user_id = w.user_id and r.state in ('ready', 'running')
            )
            limit p_limit
        );
    end if;
    perform private.fill_slots(v_owners);
    return v_count;
end
$$;

comment on function private.tidy_jobs(int, boolean) is
    'Ends attempts whose lease ran out as failures that are tried again at once, lets due jobs into the line and '
    'fills slots; at most p_limit of each. Returns how many leases had run out.';

create function public.svc_reap_expired_jobs(p_limit int default 100)
returns int
language sql
volatile
security definer
set search_path = ''
as $$
    select private.tidy_jobs(least(greatest(coalesce(p_limit, 100), 1), 1000), true);
$$;

comment on function public.svc_reap_expired_jobs(int) is
    'Ends attempts whose lease ran out and lets due jobs in. Returns how many leases had run out.';

create function public.svc_count_waiting_jobs()
returns table (type text, waiting bigint, oldest_s int)
language sql
stable
security definer
set search_path = ''
as $$
    select r.type::text, count(*), greatest(0, extract(epoch from private.clock() - min(r.due_at)))::int
    from private.job_runtime as r
    -- spelt out, so that each state's index can be used
    where r.state = 'later' or r.state = 'waiting' or r.state = 'ready'
    group by r.type
    order by 1;
$$;

comment on function public.svc_count_waiting_jobs() is
    'How many jobs of each type wait, and for how many seconds the first of them has been due; 0 when none is due '
    'yet. Types without waiting jobs have no row.';
