-- A worker hands in what it finished and takes new jobs in one call; jobs that succeeded leave private.job_runtime; claims and
-- completions lock a job's row there first, and change public.jobs by one statement that reads one trigger's condition.

-- jobs

alter table public.jobs drop constraint jobs_error_message_check, drop constraint jobs_progress_check;
drop trigger trg_jobs_check on public.jobs;
drop trigger trg_jobs_updated_at on public.jobs;
drop trigger trg_jobs_transition on public.jobs;
drop trigger trg_jobs_key_kept on public.jobs;
drop trigger trg_jobs_key_taken on public.jobs;
drop function private.keep_job_key();
drop function private.find_front();

comment on domain private.job_state is
    'Where a job stands in the queue. later: not due. waiting: due, but its owner has no free place. admitted: has a place, '
    'waits for a worker or runs. over: ended without '
    'success.';

create or replace function private.check_job()
returns trigger
language plpgsql
set search_path = ''
as $$
declare
    v_broken constant text := case
        when new.retry_count not between 0 and new.max_retries then 'jobs_retry_count_check'
        when new.max_retries not between 0 and 100 then 'jobs_max_retries_check'
        when new.week_id is not null and new.user_id is null then 'jobs_week_id_check'
        when new.timeout_s not between 1 and 86400 then 'jobs_timeout_s_check'
        when char_length(new.dedupe_key) not between 1 and 500 then 'jobs_dedupe_key_check'
        when char_length(new.error_message) > 500 then 'jobs_error_message_check'
        when jsonb_typeof(new.progress) <> 'object' then 'jobs_progress_check'
    end;
begin
    if v_broken is not null then
        raise exception 'new row for relation "jobs" violates "%"', v_broken
            using errcode = '23514', schema = 'public', table = 'jobs', constraint = v_broken;
    end if;
    return new;
end
$$;

comment on function private.check_job() is
    'What check constraints would say of columns that claims and completions do not write: 0 to max_retries retries, at most '
    '100, a week only with its owner, 1 s to a day for a try, keys of 1 to 500 characters, messages of at most 500, progress '
    'an object. A check constraint is read anew by each statement that updates the table, whatever it changes; these cost a '
    'tenth of a claim.';

create function private.change_job()
returns trigger
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if old.status <> new.status and old.status || '>' || new.status <> all (array[
        'queued>running', 'queued>cancelled', 'running>queued', 'running>succeeded', 'running>failed', 'running>cancelled',
        'failed>queued'
    ]) then
        raise exception 'jobs cannot go from status % to %', old.status, new.status using errcode = '23514';
    end if;
    -- a try begins without what the last one left
    if old.status = 'queued' and new.status = 'running' then
        new.error_code := null;
        new.error_message := null;
    elsif old.status <> 'queued' and new.status = 'queued' then
        new.progress := '{}';
    end if;
    -- a live job has its key (23505 when another has it), an ended one gives it up
    if new.status not in ('queued', 'running') or new.dedupe_key is distinct from old.dedupe_key then
        delete from private.job_keys where job_id = old.id;
    end if;
    if new.status in ('queued', 'running') and new.dedupe_key is not null
        and not exists (select from private.job_keys where dedupe_key = new.dedupe_key and job_id = old.id) then
        insert into private.job_keys (dedupe_key, job_id) values (new.dedupe_key, old.id);
    end if;
    new.updated_at := now();
    return new;
end
$$;

comment on function private.change_job() is
    'BEFORE UPDATE of a job''s status or key: refuses other transitions (23514), forgets what the last try '
    'left, keeps private.job_keys.';

create function private.take_job_key()
returns trigger
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if not exists (select from private.job_keys where dedupe_key = new.dedupe_key and job_id = new.id) then
        insert into private.job_keys (dedupe_key, job_id) values (new.dedupe_key, new.id);
    end if;
    return null;
end
$$;

comment on function private.take_job_key() is
    'AFTER INSERT of a job with a key: it has it (23505 when another has). Later changes are private.change_job()''s.';

create function private.delete_runtime()
returns trigger
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    -- all of the person's in the order of exchanges, also when one of several weeks goes
    perform from private.job_runtime as r
    where r.job_id = any (array(select id from public.jobs where user_id = old.user_id))
    order by r.job_id
    for update;
    if tg_table_name = 'weeks' then
        delete from private.job_runtime where job_id in (select id from public.jobs where week_id = old.id);
    else
        delete from private.job_runtime where job_id in (select id from public.jobs where user_id = old.user_id);
    end if;
    return old;
end
$$;

comment on function private.delete_runtime() is
    'BEFORE DELETE of a person or week: takes the rows of their jobs here before the jobs, in the order in which claims and '
    'completions lock them. So a person who goes while his work ends waits for it, and nobody waits in a circle.';

comment on column private.job_runtime.lease_token is
    'Fences every write after the claim; new for each claim. It begins with the moment the try began (16 hex digits of '
    'microseconds since 1970), so that jobs.started_at tells by which lease a job succeeded.';

comment on column private.job_runtime.claim_id is
    'The claim that took it last, so that a lost answer can be asked for again.';

create function private.front()
returns timestamptz
language plpgsql
volatile
set search_path = ''
as $$
begin
    -- asked as a function, not as a row: that needs no query. Not set before the first look
    return coalesce(
        timestamptz 'epoch' + nullif(pg_sequence_last_value('private.job_front'), 0) * interval '1 microsecond', '-infinity'
    );
end
$$;

comment on function private.front() is 'The rank at which claims begin to look.';

create or replace function private.lower_front(p_rank timestamptz)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    -- should a claim move it on before this is committed, the next look from the start finds what was missed
    if p_rank < private.front() then
        perform private.set_front(p_rank);
    end if;
end
$$;

create function private.next_front(p_idle boolean)
returns timestamptz
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_now constant timestamptz := clock_timestamp();
    v_look constant timestamptz := timestamptz 'epoch'
        + coalesce(pg_sequence_last_value('private.job_look'), 0) * interval '1 millisecond';
    v_from timestamptz := '-infinity';
    v_rank timestamptz;
    v_took interval;
begin
    if v_now < v_look + (not p_idle)::int * interval '1 second' then
        v_from := private.front();
        if p_idle then
            return v_from;
        end if;
    end if;
    select r.rank into v_rank from private.job_runtime as r
    where r.state = 'admitted' and r.rank >= v_from and r.lease_token is null
    order by r.rank, r.job_id
    limit 1;
    if v_from = '-infinity' then
        v_took := clock_timestamp() - v_now;
        -- looking takes two hundredths of the time at most, however long the way from the start has become
        if v_took < interval '2 milliseconds' then
            v_took := interval '0';
        end if;
        perform setval('private.job_look', (extract(epoch from clock_timestamp() + 50 * v_took) * 1000)::bigint);
    end if;
    if v_rank is null then
        return '-infinity';
    end if;
    perform private.set_front(v_rank);
    return v_rank;
end
$$;

comment on function private.next_front(boolean) is
    'Moves the front on to the first job to claim, and says where that is. Once a second, or when there is little to do, it '
    'looks for it from the start.';

create function private.try_places(p_owner uuid)
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
begin
    return p_owner is null or pg_try_advisory_xact_lock(hashtextextended(p_owner::text, 90));
end
$$;

comment on function private.try_places(uuid) is
    'Locks a person''s places unless somebody else has them; the system''s work needs none.';

create function private.lock_places(p_owners uuid[])
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
    perform pg_advisory_xact_lock(hashtextextended(owner::text, 90))
    from (select distinct o as owner from unnest(p_owners) as o where o is not null order by o) as owners;
end
$$;

comment on function private.lock_places(uuid[]) is 'Locks the places of these people, sorted; all that a transaction needs at once.';

create or replace function private.admit_jobs(p_owners uuid[])
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_owner uuid;
    v_free int;
    v_best record;
    v_worst record;
    v_front timestamptz;
begin
    perform private.lock_places(p_owners);
    for v_owner in
        select o.owner from (select distinct o as owner from unnest(p_owners) as o) as o
        -- asked for in the index's order, or one person with very many would make reading the table look cheap
        where (
            select true from private.job_runtime as r where r.user_id = o.owner and r.state = 'waiting'
            order by r.rank, r.job_id limit 1
        )
    loop
        v_free := private.job_cap(v_owner)
            - (select count(*) from private.job_runtime where user_id = v_owner and state = 'admitted');
        if v_free > 0 then
            with admitted as (
                update private.job_runtime set state = 'admitted'
                where job_id = any (array(
                    select job_id from private.job_runtime
                    where user_id = v_owner and state = 'waiting'
                    order by rank, job_id
                    limit v_free
                    for update skip locked
                ))
                returning rank
            )
            select least(v_front, min(rank)) into v_front from admitted;
            continue;
        end if;
        -- all places are taken: a job that ranks before one that was admitted and not yet claimed takes its place
        select job_id, rank into v_best from private.job_runtime
        where user_id = v_owner and state = 'waiting' order by rank, job_id limit 1 for update skip locked;
        select job_id, rank into v_worst from private.job_runtime
        where user_id = v_owner and state = 'admitted' and lease_token is null
        order by rank desc limit 1 for update skip locked;
        if v_best.rank < v_worst.rank then
            update private.job_runtime
            set state = case when job_id = v_best.job_id then 'admitted' else 'waiting' end::private.job_state
            where job_id in (v_best.job_id, v_worst.job_id);
            v_front := least(v_front, v_best.rank);
        end if;
    end loop;
    if v_front is not null then
        perform private.lower_front(v_front);
    end if;
end
$$;

create or replace function private.admit_due_jobs(p_limit int)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_owners uuid[];
    v_front timestamptz;
begin
    with moved as (
        update private.job_runtime as w
        set state = case when w.user_id is null then 'admitted' else 'waiting' end::private.job_state
        where w.job_id = any (array(
            select job_id from private.job_runtime
            -- an exchange holds places already: it waits for no others, these jobs come in next time
            where state = 'later' and due_at <= private.clock() and private.try_places(user_id)
            order by due_at
            limit p_limit
            for update skip locked
        ))
        returning w.user_id, w.rank
    )
    select array_agg(user_id) filter (where user_id is not null), min(rank) filter (where user_id is null)
    into v_owners, v_front
    from moved;
    perform private.admit_jobs(v_owners);
    if v_front is not null then
        perform private.lower_front(v_front);
    end if;
end
$$;

create function private.admit_forgotten_jobs(p_limit int)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    perform private.admit_jobs(array(
        -- from one owner to the next by the index, however many jobs each has; the first thousands are enough at a time
        with recursive owners as (
            (select r.user_id, 1 as nth from private.job_runtime as r where r.state = 'waiting' order by r.user_id limit 1)
            union all
            select n.user_id, o.nth + 1
            from owners as o
            cross join lateral (
                select r.user_id from private.job_runtime as r
                where r.state = 'waiting' and r.user_id > o.user_id
                order by r.user_id
                limit 1
            ) as n
            where o.nth < 5 * p_limit
        )
        select o.user_id from owners as o
        where (select count(*) from private.job_runtime as r where r.user_id = o.user_id and r.state = 'admitted')
            < private.job_cap(o.user_id)
            and private.try_places(o.user_id)
        limit p_limit
    ));
end
$$;

comment on function private.admit_forgotten_jobs(int) is
    'Gives free places away that were left over: a job is passed by while somebody has its row, and he may change his mind.';

create or replace function public.svc_enqueue_job(
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
set plan_cache_mode = 'force_generic_plan'
as $$
#variable_conflict use_column
declare
    v_id constant uuid := private.job_id();
    v_at constant timestamptz := coalesce(p_scheduled_at, private.clock());
    v_rank constant timestamptz := private.job_rank(v_at, coalesce(p_priority, 0));
    v_other uuid;
begin
    if p_type is null or p_payload is null then
        raise exception 'a job needs a type and a payload' using errcode = '22004';
    end if;
    if p_type <> all (enum_range(null::public.job_type)::text[]) then
        raise exception 'unknown job type' using errcode = '22023';
    end if;
    if p_dedupe_mode is distinct from 'join' and p_dedupe_mode is distinct from 'queued' then
        raise exception 'dedupe mode is join or queued' using errcode = '22023';
    end if;
    if p_priority not between -1000 and 1000 then
        raise exception 'a priority is -1000 to 1000' using errcode = '22003';
    end if;
    -- the winner of a race may end between our insert and our look: then the key is free again
    for i in 1 .. 10 loop
        exit when p_dedupe_key is null;
        if p_dedupe_mode = 'queued' then
            -- one that runs may have read its input before the change we stand for: it gives the key up
            -- (locked as everywhere: its owner before it goes, the workers' row, the job)
            perform from public.profiles where user_id = p_user_id for key share;
            perform from private.job_keys as k
            join private.job_runtime as r on r.job_id = k.job_id
            where k.dedupe_key = p_dedupe_key and r.state = 'admitted'
            for update of r;
            update public.jobs set dedupe_key = null where dedupe_key = p_dedupe_key and status = 'running';
        end if;
        insert into private.job_keys (dedupe_key, job_id) values (p_dedupe_key, v_id) on conflict (dedupe_key) do nothing;
        exit when found;
        select j.id into v_other from public.jobs as j
        where j.dedupe_key = p_dedupe_key and (j.status = 'queued' or j.status = 'running' and p_dedupe_mode = 'join');
        if v_other is not null then
            return query select v_other, false;
            return;
        end if;
        if i = 10 then
            raise exception 'the key % is taken and freed too fast', p_dedupe_key using errcode = '40001';
        end if;
    end loop;
    insert into public.jobs (
        id, type, user_id, week_id, dedupe_key, priority, scheduled_at, max_retries, timeout_s, provider
    )
    values (
        v_id, p_type::public.job_type, p_user_id, p_week_id, p_dedupe_key, coalesce(p_priority, 0), v_at,
        coalesce(p_max_retries, 3), coalesce(p_timeout_s, 600), p_provider
    );
    insert into private.job_runtime (job_id, payload, type, user_id, provider, rank, due_at, state)
    values (
        v_id, p_payload, p_type::public.job_type, p_user_id, p_provider, v_rank, v_at,
        private.first_state(v_at, p_user_id)
    );
    if p_user_id is null then
        perform private.lower_front(v_rank);
    else
        perform private.admit_jobs(array[p_user_id]);
    end if;
    return query select v_id, true;
end
$$;

create or replace function private.end_try(
    p_job_id uuid,
    p_error_code text,
    p_error_message text,
    p_error_detail text,
    p_retryable boolean,
    p_wait_s numeric
)
returns public.jobs
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_job public.jobs;
    v_now constant timestamptz := private.clock();
begin
    -- the caller holds the row
    select * into v_job from public.jobs where id = p_job_id;
    if v_job.cancel_requested then
        v_job.status := 'cancelled';
    elsif p_retryable and v_job.retry_count < v_job.max_retries then
        v_job.status := 'queued';
        if p_wait_s > 0 then
            v_job.scheduled_at := v_now + make_interval(secs => p_wait_s::float8);
        end if;
    else
        v_job.status := 'failed';
    end if;
    update private.job_runtime
    set lease_token = null, locked_until = null, locked_by = null, error_detail = left(p_error_detail, 4000),
        state = case when v_job.status = 'queued' then state else 'over'::private.job_state end
    where job_id = p_job_id;
    update public.jobs
    set status = v_job.status,
        scheduled_at = v_job.scheduled_at,
        retry_count = retry_count + (v_job.status = 'queued')::int,
        error_code = left(coalesce(p_error_code, 'internal'), 200),
        error_message = left(p_error_message, 500),
        completed_at = case when v_job.status <> 'queued' then v_now end
    where id = p_job_id
    returning * into v_job;
    return v_job;
end
$$;

create or replace function private.forget_claims(p_limit int)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    -- counted, not joined: a join might read all jobs there ever were
    delete from private.job_claims where id = any (array(
        select c.id from private.job_claims as c
        where (
            select count(*) from private.job_runtime as r
            where r.job_id = any (c.job_ids) and r.claim_id = c.id and r.lease_token is not null and r.state = 'admitted'
        ) = 0
        limit p_limit
        for update skip locked
    ));
end
$$;

create or replace function private.reap_jobs(p_limit int)
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_now constant timestamptz := private.clock();
    v_claimed constant uuid[] := array(select unnest(c.job_ids) from private.job_claims as c);
    v_job record;
    v_ended public.jobs;
    v_count int := 0;
    v_owners uuid[] := '{}';
    v_again uuid[] := '{}';
begin
    for v_job in
        select j.id
        from private.job_runtime as r
        join public.jobs as j on j.id = r.job_id
        where r.job_id = any (v_claimed) and r.state = 'admitted' and r.locked_until < v_now and j.status = 'running'
            and private.try_places(r.user_id)
        limit p_limit
        for update of r, j skip locked
    loop
        -- no back-off: the worker died, most likely not by this job, and it has waited a lease already
        v_ended := private.end_try(
            v_job.id, 'lease_expired', 'The work was interrupted and is tried again.', 'the lease ran out', true, 0
        );
        if v_ended.status = 'queued' then
            v_again := v_again || v_job.id;
        end if;
        v_owners := v_owners || v_ended.user_id;
        v_count := v_count + 1;
    end loop;
    -- changed by hand, so that nobody ends the try: what is queued waits again, the others are over
    for v_job in
        select j.id, j.user_id, j.status
        from private.job_runtime as r
        join public.jobs as j on j.id = r.job_id
        where r.job_id = any (v_claimed) and r.state = 'admitted' and r.locked_until < v_now and j.status <> 'running'
            and private.try_places(r.user_id)
        limit p_limit
        for update of r, j skip locked
    loop
        update private.job_runtime
        set lease_token = null, locked_until = null, locked_by = null,
            state = case when v_job.status = 'queued' then state else 'over' end
        where job_id = v_job.id;
        if v_job.status = 'queued' then
            v_again := v_again || v_job.id;
        end if;
        v_owners := v_owners || v_job.user_id;
    end loop;
    perform private.queue_jobs(v_again);
    perform private.admit_jobs(v_owners);
    return v_count;
end
$$;

create function public.svc_exchange_jobs(
    p_done jsonb,
    p_worker text,
    p_types text[],
    p_limit int,
    p_lease_s int default 60,
    p_claim_id uuid default null
)
returns table (
    job_id uuid,
    type text,
    user_id uuid,
    week_id uuid,
    payload jsonb,
    retry_count int,
    max_retries int,
    timeout_s int,
    lease_token uuid,
    locked_until timestamptz,
    provider_wait_ms int,
    lost boolean
)
language plpgsql
volatile
security definer
set search_path = ''
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
-- what is read whole all the same (small tables) looks so dear by this that it would be compiled
set jit = 'off'
as $$
#variable_conflict use_column
-- Each expression of PL/pgSQL is made ready anew in each transaction, and each call of another function sets the search path
-- twice: here both cost as much as the statements. So there are few of them, and the rare ways lie together.
declare
    v_now constant timestamptz := case
        when nullif(current_setting('app.frozen_now', true), '') is null then now() else private.clock()
    end;
    v_claim constant uuid := coalesce(p_claim_id, gen_random_uuid());
    v_limit int := least(greatest(coalesce(p_limit, 1), 0), 100);
    -- what is handed in
    v_done uuid[];
    v_results jsonb[];
    v_missing int;
    v_owners uuid[];
    v_owner uuid;
    v_waiting boolean;
    -- what is handed out
    v_from timestamptz := coalesce(
        timestamptz 'epoch' + nullif(pg_sequence_last_value('private.job_front'), 0) * interval '1 microsecond', '-infinity'
    );
    v_taken uuid[];
    v_payloads jsonb[];
    v_special boolean;
    v_again uuid[];
    v_due boolean;
    v_waits jsonb;
    v_began timestamptz;
    v_token uuid;
    v_count int;
    v_admitted boolean;
    v_noted boolean;
    v_idle boolean;
begin
    if v_limit > 0 and (p_worker is null or p_types is null) then
        raise exception 'a claim names its worker and its types' using errcode = '22004';
    end if;
    if p_done is null or p_done = '[]' then
        -- a claim alone waits for no disk: should a power cut forget it, its jobs wait again, as after a lease that ran out
        perform set_config('synchronous_commit', 'off', true);
    else
        -- whoever waited here for a reaper or another claim sees its new token
        select
            array_agg(h.job_id), array_agg(h.result), array_agg(distinct h.user_id),
            jsonb_array_length(p_done) - count(*)
        into v_done, v_results, v_owners, v_missing
        from (
            select s.job_id, s.result, r.user_id
            from jsonb_to_recordset(p_done) as s (job_id uuid, lease_token uuid, result jsonb)
            join private.job_runtime as r on r.job_id = s.job_id
            join public.jobs as j on j.id = s.job_id
            where r.lease_token = s.lease_token and r.state = 'admitted' and j.status = 'running'
            order by s.job_id
            for no key update of r
        ) as h;
        if v_done is not null then
            -- who finds their owners' places taken has looked before us and is seen below, or waits and sees what we free
            foreach v_owner in array v_owners loop
                if v_owner is not null and not pg_try_advisory_xact_lock(hashtextextended(v_owner::text, 90)) then
                    perform pg_advisory_xact_lock(hashtextextended(v_owner::text, 90));
                end if;
            end loop;
        end if;
        if v_limit = 0 then
            v_waiting := exists (
                select from private.job_runtime as r where r.user_id = any (v_owners) and r.state = 'waiting'
            );
        end if;
    end if;
    -- the first asking for this claim may still be under way
    if v_limit > 0 and not pg_try_advisory_xact_lock(hashtextextended(v_claim::text, 91)) then
        perform pg_advisory_xact_lock(hashtextextended(v_claim::text, 91));
    end if;
    -- the more each claim takes, the more the next ones pass in vain
    if random() * 20 < v_limit
        or extract(epoch from clock_timestamp()) * 1000 > coalesce(pg_sequence_last_value('private.job_look'), 0) + 1000
    then
        v_from := private.next_front(false);
    end if;
    loop
        if v_limit > 0 then
            select
                array_agg(w.job_id), array_agg(w.payload), bool_or(w.special),
                (select c.job_ids from private.job_claims as c where c.id = p_claim_id),
                (
                    select true from private.job_runtime as l where l.state = 'later' and l.due_at <= v_now
                    order by l.due_at limit 1
                ),
                exists (select from private.job_runtime as o where o.user_id = any (v_owners) and o.state = 'waiting')
            into v_taken, v_payloads, v_special, v_again, v_due, v_waiting
            from (
                select r.job_id, r.payload::jsonb as payload, r.provider is not null or r.claim_id is not null as special
                from private.job_runtime as r
                where r.state = 'admitted'
                    and r.rank >= v_from
                    and r.lease_token is null
                    and r.type::text = any (p_types)
                    -- buckets are locked once, all together
                    and (r.provider is null or v_waits is null and r.provider <> all (array(
                        select b.provider from private.provider_buckets as b
                        where b.paused_until > v_now or private.bucket_tokens(b) + b.refill_per_s < 1
                    )))
                order by r.rank, r.job_id
                limit v_limit
                for no key update skip locked
            ) as w;
        end if;
        if v_special or v_due or v_again is not null then
            if v_again is not null and v_noted is not true then
                return query
                select j.id, j.type::text, j.user_id, j.week_id, r.payload::jsonb, j.retry_count, j.max_retries, j.timeout_s,
                       r.lease_token, r.locked_until, 0, false
                from private.job_runtime as r
                join public.jobs as j on j.id = r.job_id
                where r.job_id = any (v_again) and r.claim_id = p_claim_id and j.status = 'running'
                order by r.rank, j.id;
                if found then
                    v_limit := 0;
                    v_taken := null;
                    v_due := false;
                else
                    delete from private.job_claims as c where c.id = p_claim_id;
                end if;
            end if;
            if v_due and v_admitted is null then
                perform private.admit_due_jobs(100);
                v_admitted := true;
                v_from := '-infinity';
                continue;
            end if;
            if v_special and v_taken is not null then
                v_waits := private.take_tokens(v_taken);
                -- no two tries of a job begin at one moment, whatever the clock says: their tokens differ by it
                select
                    array_agg(t.id order by t.n), array_agg(t.payload order by t.n),
                    greatest(v_now, max(j.started_at) + interval '1 microsecond')
                into v_taken, v_payloads, v_began
                from unnest(v_taken, v_payloads) with ordinality as t (id, payload, n)
                join public.jobs as j on j.id = t.id
                where v_waits ->> t.id::text is distinct from 'refused';
            end if;
        end if;
        if v_taken is not null or v_done is not null then
            -- the moment in microseconds, and the second half of the claim's id
            v_token := (
                lpad(to_hex((extract(epoch from coalesce(v_began, v_now)) * 1000000)::bigint), 16, '0')
                || right(v_claim::text, 17)
            )::uuid;
            return query
            with moved as (
                update public.jobs as j
                set status = case j.status when 'queued' then 'running' else 'succeeded' end::public.job_status,
                    started_at = case j.status when 'queued' then coalesce(v_began, v_now) else j.started_at end,
                    completed_at = case j.status when 'running' then v_now end,
                    result = case j.status when 'running' then nullif(v_results[array_position(v_done, j.id)], 'null') end,
                    updated_at = now()
                where j.id = any (v_done || v_taken)
                    and j.status = case when j.id = any (v_taken) then 'queued' else 'running' end::public.job_status
                returning j.id, j.type, j.user_id, j.week_id, j.retry_count, j.max_retries, j.timeout_s, j.status
            ),
            ended as (
                delete from private.job_runtime where job_id = any (v_done)
            ),
            leased as (
                update private.job_runtime
                set lease_token = v_token, claim_id = v_claim, locked_by = left(p_worker, 200),
                    locked_until = v_now + make_interval(secs => least(greatest(coalesce(p_lease_s, 60), 1), 3600))
                where job_id = any (v_taken)
                returning locked_until
            ),
            noted as (
                insert into private.job_claims (id, job_ids)
                select v_claim, v_taken where v_taken is not null and v_noted is not true
            )
            select m.id, m.type::text, m.user_id, m.week_id, v_payloads[array_position(v_taken, m.id)], m.retry_count,
                   m.max_retries, m.timeout_s, v_token, (select l.locked_until from leased as l limit 1),
                   coalesce((v_waits ->> m.id::text)::int, 0), false
            from moved as m
            where m.status = 'running'
            order by array_position(v_taken, m.id);
            get diagnostics v_count = row_count;
            v_limit := v_limit - v_count;
            if v_noted then
                update private.job_claims as c set job_ids = c.job_ids || v_taken where c.id = v_claim;
            end if;
        end if;
        if v_waiting then
            perform private.admit_jobs(v_owners);
        end if;
        exit when v_limit = 0 or v_idle;
        -- little to do: time to look for what was left lying
        v_idle := true;
        v_noted := v_taken is not null;
        v_done := null;
        v_owners := null;
        perform private.forget_claims(100);
        perform private.reap_jobs(20);
        v_from := private.next_front(true);
    end loop;
    if v_missing > 0 then
        -- a completion whose answer was lost is confirmed the second time: its token begins with the moment the job does
        return query
        select s.job_id, null::text, null::uuid, null::uuid, null::jsonb, null::int, null::int, null::int, s.lease_token,
               null::timestamptz, null::int, true
        from jsonb_to_recordset(p_done) as s (job_id uuid, lease_token uuid)
        where not exists (
            select from public.jobs as j
            where j.id = s.job_id and j.status = 'succeeded'
                and replace(left(s.lease_token::text, 18), '-', '')
                    = lpad(to_hex((extract(epoch from j.started_at) * 1000000)::bigint), 16, '0')
        );
    end if;
end
$$;

comment on function public.svc_exchange_jobs(jsonb, text, text[], int, int, uuid) is
    'Ends jobs in success as svc_complete_jobs does and hands out others (0 to 100) as svc_claim_jobs does, in one transaction. '
    'lost: a completion that came too late, by its lease_token; nothing was changed for it. Completions that count have no row.';

create or replace function public.svc_claim_jobs(
    p_worker text,
    p_types text[],
    p_limit int,
    p_lease_s int default 60,
    p_claim_id uuid default null
)
returns table (
    job_id uuid,
    type text,
    user_id uuid,
    week_id uuid,
    payload jsonb,
    retry_count int,
    max_retries int,
    timeout_s int,
    lease_token uuid,
    locked_until timestamptz,
    provider_wait_ms int
)
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    return query
    select e.job_id, e.type, e.user_id, e.week_id, e.payload, e.retry_count, e.max_retries, e.timeout_s, e.lease_token,
           e.locked_until, e.provider_wait_ms
    from public.svc_exchange_jobs(
        '[]', p_worker, p_types, greatest(coalesce(p_limit, 1), 1), p_lease_s, p_claim_id
    ) as e;
end
$$;

create or replace function public.svc_heartbeat_jobs(p_jobs jsonb, p_lease_s int default 60)
returns table (job_id uuid, state text)
language plpgsql
volatile
security definer
set search_path = ''
set plan_cache_mode = 'force_generic_plan'
as $$
#variable_conflict use_column
declare
    v_until constant timestamptz :=
        private.clock() + make_interval(secs => least(greatest(coalesce(p_lease_s, 60), 1), 3600));
begin
    if p_jobs is null then
        raise exception 'which jobs' using errcode = '22004';
    end if;
    return query
    with said as (
        select * from jsonb_to_recordset(p_jobs) as x (job_id uuid, lease_token uuid, progress jsonb)
    ),
    held as (
        select s.job_id, j.cancel_requested
        from said as s
        join private.job_runtime as r on r.job_id = s.job_id and r.lease_token = s.lease_token
        join public.jobs as j on j.id = s.job_id and j.status = 'running'
        order by s.job_id
        for no key update of r, j
    ),
    kept as (
        update private.job_runtime as r set locked_until = v_until from held as h where r.job_id = h.job_id
    ),
    shown as (
        update public.jobs as j set progress = s.progress
        from said as s join held as h on h.job_id = s.job_id
        where j.id = s.job_id and jsonb_typeof(s.progress) = 'object' and j.progress is distinct from s.progress
    )
    select s.job_id, case
        when h.cancel_requested then 'cancel'
        when h.job_id is not null then 'held'
        when exists (select from public.jobs as j where j.id = s.job_id) then 'lost'
        else 'gone'
    end
    from said as s left join held as h on h.job_id = s.job_id;
end
$$;

create or replace function public.svc_complete_jobs(p_jobs jsonb)
returns table (job_id uuid, done boolean)
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if p_jobs is null then
        raise exception 'which jobs' using errcode = '22004';
    end if;
    return query
    with late as (
        select e.job_id, e.lease_token from public.svc_exchange_jobs(p_jobs, null, null, 0) as e
    )
    select s.job_id, not exists (
        select from late as l
        where l.job_id is not distinct from s.job_id and l.lease_token is not distinct from s.lease_token
    )
    from jsonb_to_recordset(p_jobs) as s (job_id uuid, lease_token uuid);
end
$$;

create or replace function private.held_job(p_job_id uuid, p_lease_token uuid)
returns public.jobs
language sql
volatile
security definer
set search_path = ''
as $$
    select j.*
    from public.jobs as j
    join private.job_runtime as r on r.job_id = j.id and r.lease_token = p_lease_token
    where j.id = p_job_id and j.status = 'running'
    for update of r, j;
$$;

create or replace function public.svc_release_jobs(p_jobs jsonb)
returns int
language plpgsql
volatile
security definer
set search_path = ''
set plan_cache_mode = 'force_generic_plan'
as $$
declare
    v_owners uuid[];
    v_again uuid[];
    v_count int;
begin
    if p_jobs is null then
        raise exception 'which jobs' using errcode = '22004';
    end if;
    with held as (
        select j.id, j.cancel_requested
        from jsonb_to_recordset(p_jobs) as s (job_id uuid, lease_token uuid)
        join private.job_runtime as r on r.job_id = s.job_id and r.lease_token = s.lease_token
        join public.jobs as j on j.id = s.job_id and j.status = 'running'
        order by j.id
        for update of r, j
    ),
    freed as (
        update private.job_runtime as r
        set lease_token = null, locked_until = null, locked_by = null,
            state = case when h.cancel_requested then 'over' else r.state end
        from held as h where r.job_id = h.id
    ),
    ended as (
        update public.jobs as j
        set status = case when h.cancel_requested then 'cancelled' else 'queued' end::public.job_status,
            completed_at = case when h.cancel_requested then private.clock() end
        from held as h where j.id = h.id
        returning j.id, j.user_id, j.status
    )
    select array_agg(id) filter (where status = 'queued'), array_agg(user_id), count(*)
    into v_again, v_owners, v_count
    from ended;
    perform private.lock_places(v_owners);
    perform private.queue_jobs(v_again);
    perform private.admit_jobs(v_owners);
    return v_count;
end
$$;

create or replace function public.svc_reap_expired_jobs(p_limit int default 100)
returns int
language plpgsql
volatile
security definer
set search_path = ''
set plan_cache_mode = 'force_generic_plan'
as $$
declare
    v_count constant int := private.reap_jobs(least(greatest(coalesce(p_limit, 100), 1), 1000));
begin
    perform private.admit_due_jobs(1000);
    perform private.admit_forgotten_jobs(1000);
    perform private.forget_claims(20000);
    return v_count;
end
$$;

create or replace function private.end_live_job(p_job_id uuid)
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

create or replace function private.retry_job(p_id uuid)
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

create or replace function private.purge_jobs()
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

create trigger trg_jobs_check
before insert or update of retry_count, max_retries, week_id, user_id, timeout_s, dedupe_key, error_message, progress
on public.jobs
for each row execute function private.check_job();

create trigger trg_jobs_updated_at before update of
type, user_id, week_id, priority, max_retries, retry_count, error_code, error_message, progress, cancel_requested, timeout_s,
provider, dedupe_key, scheduled_at
on public.jobs
for each row execute function public.set_updated_at();

create trigger trg_jobs_transition before update of status, dedupe_key on public.jobs
for each row when (
    (old.status <> 'queued' or new.status <> 'running' or old.error_code is not null)
    and (old.status <> 'running' or new.status <> 'succeeded' or old.dedupe_key is not null)
) execute function private.change_job();

create trigger trg_jobs_key_taken after insert on public.jobs
for each row when (new.dedupe_key is not null) execute function private.take_job_key();

create trigger trg_profiles_jobs before delete on public.profiles
for each row execute function private.delete_runtime();

create trigger trg_weeks_jobs before delete on public.weeks
for each row execute function private.delete_runtime();

-- what succeeded needs no input any more

delete from private.job_runtime as r using public.jobs as j where j.id = r.job_id and j.status = 'succeeded';

-- rights

revoke all on function private.change_job()
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.take_job_key()
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.delete_runtime()
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.lock_places(uuid[])
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.admit_forgotten_jobs(int)
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.try_places(uuid)
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.front()
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.next_front(boolean)
from public, anon, authenticated, app_admin, service_role;

revoke all on function public.svc_exchange_jobs(jsonb, text, text[], int, int, uuid)
from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_exchange_jobs(jsonb, text, text[], int, int, uuid) to service_role;
