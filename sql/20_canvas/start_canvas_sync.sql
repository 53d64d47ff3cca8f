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
        where id = any (p_integration_ids) and user_id = p_user_id and provider in ('canvas', 'canvas_feed')
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

create function public.svc_start_canvas_sync(
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
