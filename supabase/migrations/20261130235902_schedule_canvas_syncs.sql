-- Connected people are synced by the clock: each integration has a schedule that follows its status, a job starts what is
-- due, and a person who asks brings forward what the schedule had asked for.
-- Touches: 20_canvas, 90_platform. Undo: delete the schedule canvas_sync_scan, drop what it creates, newest first, and
-- restore svc_start_canvas_sync() of the migration before. No person's row is lost.

set lock_timeout = '5s';

create table private.integration_schedules (
    integration_id uuid primary key,
    next_sync_at timestamptz,
    asked_at timestamptz,
    constraint integration_schedules_integration_id_fkey
        foreign key (integration_id)
        references public.integrations(id) on delete cascade
);

create index idx_integration_schedules_next_sync_at on private.integration_schedules (next_sync_at)
where next_sync_at is not null;

comment on table private.integration_schedules is 'When an integration is synced next without being asked.';
comment on column private.integration_schedules.integration_id is 'Which integration.';
comment on column private.integration_schedules.next_sync_at is
    'When it is due; null while it is not connected. A reader looks at asked_at, too.';
comment on column private.integration_schedules.asked_at is
    'When its owner last connected it or asked for a sync of everything.';

create function private.follow_integration_status()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if new.provider <> 'canvas' then
        return null;
    end if;
    if new.status <> 'connected' then
        update private.integration_schedules set next_sync_at = null where integration_id = new.id;
        return null;
    end if;
    -- connecting enqueues the first sync, so the one after it keeps the interval (svc_start_due_syncs)
    insert into private.integration_schedules (integration_id, next_sync_at, asked_at)
    values (new.id, private.clock(), private.clock())
    on conflict on constraint integration_schedules_pkey do update
    set next_sync_at = excluded.next_sync_at, asked_at = excluded.asked_at;
    -- what asked to connect again has been done
    update public.notifications set status = 'dismissed'
    where user_id = new.user_id and type = 'integration_error' and dismissed_at is null
        and payload ->> 'integration_id' = new.id::text;
    return null;
end
$$;

comment on function private.follow_integration_status() is
    'AFTER INSERT OR UPDATE OF status on integrations: a connected one is synced by schedule, any other is not. '
    'Connecting again dismisses the notification that asked for it.';

create trigger trg_integrations_schedule_new after insert on public.integrations
for each row execute function private.follow_integration_status();
create trigger trg_integrations_schedule_changed after update of status on public.integrations
for each row when (old.status is distinct from new.status) execute function private.follow_integration_status();

create function private.hasten_syncs()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    update private.integration_schedules as s set next_sync_at = private.clock()
    from public.integrations as i
    where i.user_id = new.user_id and s.integration_id = i.id and s.next_sync_at > private.clock();
    return null;
end
$$;

comment on function private.hasten_syncs() is
    'AFTER UPDATE on user_stats: who comes back after a week, in which syncs became rare, is synced at the next look.';

create trigger trg_user_stats_hasten_syncs after update of last_active on public.user_stats
for each row when (new.last_active > old.last_active + interval '7 days') execute function private.hasten_syncs();

create function private.start_canvas_sync(
    p_user_id uuid,
    p_integration_ids uuid[],
    p_course_ids uuid[],
    p_priority int,
    p_scheduled_at timestamptz
)
returns table (job_id uuid, created boolean)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_left uuid[];
    v_live uuid;
    v_joined uuid[];
    v_owners uuid[];
    v_key text;
begin
    if num_nulls(p_user_id, p_integration_ids) > 0 or array_position(p_integration_ids, null) is not null
        or array_position(p_course_ids, null) is not null then
        raise exception 'p_user_id, p_integration_ids and what the lists contain must not be null'
            using errcode = '22004';
    end if;
    if cardinality(p_integration_ids) = 0 or cardinality(p_course_ids) = 0 then
        raise exception 'p_integration_ids and p_course_ids must not be empty' using errcode = '22023';
    end if;
    if (
        select count(*) from public.integrations
        where id = any (p_integration_ids) and user_id = p_user_id and provider = 'canvas'
    ) <> (select count(distinct i) from unnest(p_integration_ids) as i) then
        raise exception 'an id in p_integration_ids is no Canvas integration of this person' using errcode = 'PT404';
    end if;
    -- one at a time for a person, or two calls would both find no live run
    perform from public.profiles where user_id = p_user_id for no key update;
    with live as (
        select j.id, j.created_at, (s.value #>> '{}')::uuid as integration_id
        from public.jobs as j
        join private.job_runtime as r on r.job_id = j.id
        cross join jsonb_array_elements(r.payload -> 'integration_ids') as s
        where j.user_id = p_user_id and j.type = 'canvas_sync' and j.status in ('queued', 'running')
            and not j.cancel_requested
            -- a run of some courses stands for the same courses only
            and (
                not r.payload ? 'course_ids'
                or r.payload -> 'course_ids' @> to_jsonb(p_course_ids)
            )
    )
    select
        array(
            select distinct i from unnest(p_integration_ids) as i
            where i not in (select l.integration_id from live as l)
            order by i
        ),
        (
            select l.id from live as l where l.integration_id = any (p_integration_ids)
            order by l.created_at desc, l.id limit 1
        ),
        array(select distinct l.id from live as l where l.integration_id = any (p_integration_ids) order by l.id)
    into v_left, v_live, v_joined;
    if p_priority >= 0 then
        -- a run that the schedule asked for waits no longer once a person asks
        perform from public.jobs
        where id = any (v_joined) and status = 'queued' and priority < 0 order by id for no key update;
        with hastened as (
            update public.jobs set priority = p_priority, scheduled_at = least(scheduled_at, private.clock())
            where id = any (v_joined) and status = 'queued' and priority < 0
            returning id
        )
        select array_agg(h.id) into v_joined from hastened as h;
        v_owners := private.line_up(v_joined);
    end if;
    if cardinality(v_left) = 0 then
        if v_owners is not null then
            perform private.fill_slots(v_owners);
        end if;
        return query select v_live, false;
        return;
    end if;
    v_key := 'canvas_sync:' || case cardinality(v_left)
        when 1 then v_left[1]::text
        else md5(array_to_string(v_left, ','))
    end;
    if p_course_ids is not null then
        v_key := v_key || ':' || md5(array_to_string(array(select c from unnest(p_course_ids) as c order by c), ','));
    end if;
    return query
    select e.job_id, e.created
    from public.svc_enqueue_job(
        p_type => 'canvas_sync',
        p_payload => jsonb_strip_nulls(
            jsonb_build_object('integration_ids', to_jsonb(v_left), 'course_ids', to_jsonb(p_course_ids))
        ),
        p_user_id => p_user_id,
        p_dedupe_key => v_key,
        p_priority => p_priority,
        p_scheduled_at => p_scheduled_at
    ) as e;
end
$$;

comment on function private.start_canvas_sync(uuid, uuid[], uuid[], int, timestamptz) is
    'Behind svc_start_canvas_sync and svc_start_due_syncs. Below priority 0 the run is the schedule''s; a person who '
    'joins it brings it forward.';

create or replace function public.svc_start_canvas_sync(
    p_user_id uuid,
    p_integration_ids uuid[],
    p_course_ids uuid[] default null
)
returns table (job_id uuid, created boolean)
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    return query select s.job_id, s.created
    from private.start_canvas_sync(p_user_id, p_integration_ids, p_course_ids, 0, null) as s;
    if p_course_ids is null then
        update private.integration_schedules set asked_at = private.clock()
        where integration_id = any (p_integration_ids);
    end if;
end
$$;

comment on function public.svc_start_canvas_sync(uuid, uuid[], uuid[]) is
    'Starts a sync of these integrations of a person. What a live run covers is left out, and when nothing is left '
    'that run is returned (created false), and brought forward if the schedule had asked for it. A run of some '
    'courses covers only these. PT404 for an integration that is not the person''s.';

create function public.svc_start_due_syncs(p_interval_s int, p_limit int default 200)
returns table (started int, postponed int)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_now constant timestamptz := private.clock();
    v_interval interval;
    v_every interval;
    v_window interval;
    v_found record;
    v_due private.integration_schedules;
    v_used_at timestamptz;
begin
    if num_nulls(p_interval_s, p_limit) > 0 then
        raise exception 'p_interval_s and p_limit must not be null' using errcode = '22004';
    end if;
    perform private.check_number('p_interval_s', p_interval_s, 60, 2592000);
    perform private.check_number('p_limit', p_limit, 1, 1000);
    v_interval := make_interval(secs => p_interval_s);
    started := 0;
    postponed := 0;
    for v_found in
        select d.integration_id, i.user_id, i.created_at, c.status = 'active' as is_usable
        from (
            select s.integration_id from private.integration_schedules as s
            where s.next_sync_at <= v_now order by s.next_sync_at limit p_limit
        ) as d
        join public.integrations as i on i.id = d.integration_id
        left join public.lms_connections as c on c.id = i.lms_connection_id
        -- jobs of several people are enqueued in the order of their ids
        order by i.user_id, d.integration_id
    loop
        -- first the person, then the schedule, as svc_start_canvas_sync; whoever is busy comes with the next look
        perform from public.profiles where user_id = v_found.user_id for no key update skip locked;
        continue when not found;
        select * into v_due from private.integration_schedules
        where integration_id = v_found.integration_id and next_sync_at <= v_now for update skip locked;
        continue when not found;
        v_used_at := greatest(
            v_due.asked_at,
            v_found.created_at,
            (select last_active from public.user_stats where user_id = v_found.user_id)
        );
        v_every := v_interval * case
            when v_used_at > v_now - interval '7 days' then 1
            when v_used_at > v_now - interval '30 days' then 4
            else 28
        end;
        if v_due.asked_at > v_now - v_interval then
            postponed := postponed + 1;
            update private.integration_schedules set next_sync_at = v_due.asked_at + v_interval * (1 + random())
            where integration_id = v_due.integration_id;
        elsif v_found.is_usable is false then
            postponed := postponed + 1;
            update private.integration_schedules set next_sync_at = v_now + v_every * (1 + random())
            where integration_id = v_due.integration_id;
        else
            started := started + 1;
            -- after a time without workers many are due: they start over as long as they waited
            v_window := least(greatest(interval '5 minutes', v_now - v_due.next_sync_at), v_interval / 2);
            perform private.start_canvas_sync(
                v_found.user_id, array[v_due.integration_id], null, -10, v_now + v_window * random()
            );
            update private.integration_schedules set next_sync_at = v_now + v_every * (0.9 + 0.2 * random())
            where integration_id = v_due.integration_id;
        end if;
    end loop;
    return next;
end
$$;

comment on function public.svc_start_due_syncs(int, int) is
    'Starts the syncs of integrations that are due: every p_interval_s, a quarter as often when their owner was not '
    'seen for a week, and a twenty-eighth after 30 days. What its owner asked for within the interval, and what '
    'belongs to an installation that is switched off, is postponed. Call it until both counts are 0.';

-- those who are connected come within a day, not all at once
insert into private.integration_schedules (integration_id, next_sync_at)
select id, case when status = 'connected' then now() + random() * interval '1 day' end
from public.integrations where provider = 'canvas';

alter table private.integration_schedules enable row level security;

create policy nobody on private.integration_schedules to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.integration_schedules is
    'Closed on purpose: only the service''s definer functions use it.';

grant execute on function public.svc_start_due_syncs(int, int) to service_role;

insert into private.job_schedules (name, cron, next_run_at, type)
values ('canvas_sync_scan', '*/5 * * * *', private.cron_next('*/5 * * * *', 'UTC', now()), 'canvas_sync_scan');
