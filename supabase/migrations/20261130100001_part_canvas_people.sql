-- Another Canvas person takes an integration over only after the first was disconnected; their submission states are then
-- cleared, and their courses stay as those of a former connection. Connecting fills the time zone that nobody set and
-- makes a teacher's row. Expiring drops waiting revocations.
-- Touches: 20_canvas. Undo: drop the trigger, the column and the new functions, and create the earlier ones again.

set lock_timeout = '5s';

alter table public.courses add column former_external_user_id text;
comment on column public.courses.former_external_user_id is
    'The Canvas person through whom it came, once another one is connected who does not have it; else null.';

create function private.take_course_zone()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    update public.profiles as p
    set timezone = z.time_zone, timezone_source = 'canvas'
    from (
        select distinct on (c.user_id) c.user_id, c.time_zone from added as c
        where c.time_zone is not null
        group by c.user_id, c.time_zone
        order by c.user_id, count(*) desc, c.time_zone
    ) as z
    where p.user_id = z.user_id and p.timezone_source = 'default' and private.is_timezone(z.time_zone);
    return null;
end
$$;

comment on function private.take_course_zone() is
    'AFTER INSERT on courses: people whose time zone nobody has set yet get the one that most of their new courses '
    'have. Canvas''s own word on the person comes first: private.take_canvas_profile().';

create trigger trg_courses_zone after insert on public.courses referencing new table as added
for each statement execute function private.take_course_zone();

create function private.part_from_canvas_person(p_integration_id uuid, p_external_user_id text)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_job uuid;
begin
    -- without a hash the next sync writes every course and assignment that the new person has, too
    update public.assignments as a
    set submission = null,
        status = case when a.status = 'removed' then a.status else 'open' end,
        content_hash = null
    from public.courses as c
    where c.integration_id = p_integration_id and a.course_id = c.id
        and (a.submission is not null or a.status in ('submitted', 'graded') or a.content_hash is not null);
    -- a listing that was begun with the former person's eyes is not gone on with
    delete from public.course_sync_state as s
    using public.courses as c
    where c.integration_id = p_integration_id and s.course_id = c.id;
    update public.courses
    set former_external_user_id = p_external_user_id, is_active = false, content_hash = null
    where integration_id = p_integration_id and former_external_user_id is null;
    -- a run that reads with the former tokens must neither write much more nor be joined
    for v_job in
        select j.id from public.jobs as j
        join private.job_runtime as r on r.job_id = j.id
        where j.type = 'canvas_sync' and j.status in ('queued', 'running')
            and r.payload -> 'integration_ids' ? p_integration_id::text
        order by j.id
    loop
        perform private.end_live_job(v_job);
        update public.jobs set dedupe_key = null where id = v_job;
    end loop;
end
$$;

comment on function private.part_from_canvas_person(uuid, text) is
    'Another Canvas person takes an integration over: submission states and scores of the former one are cleared, and '
    'the courses stay as those of a former connection until a sync finds them again. Live runs are cancelled.';

create function private.take_canvas_profile(
    p_user_id uuid,
    p_lms_connection_id uuid,
    p_external_user_id text,
    p_name text,
    p_time_zone text
)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    insert into public.teachers (id, lms_connection_id, canvas_user_id, name)
    select p.user_id, p_lms_connection_id, p_external_user_id, left(private.clean_name(p_name), 500)
    from public.profiles as p where p.user_id = p_user_id and p.role = 'teacher'
    -- a launch may have made the row, and the Canvas id may be a launch account's
    on conflict do nothing;
    update public.profiles
    set timezone = p_time_zone, timezone_source = 'canvas'
    where user_id = p_user_id and timezone_source <> 'person' and private.is_timezone(p_time_zone)
        and (timezone, timezone_source) is distinct from (p_time_zone, 'canvas');
end
$$;

comment on function private.take_canvas_profile(uuid, uuid, text, text, text) is
    'What Canvas says of a person who connects: a teacher gets their row, and who never set a time zone gets that of '
    'Canvas. A zone that the database does not know is left out.';

drop function public.svc_connect_integration(uuid, uuid, uuid, text, text[], text, text, timestamptz);

create function public.svc_connect_integration(
    p_integration_id uuid,
    p_user_id uuid,
    p_lms_connection_id uuid,
    p_external_user_id text,
    p_scopes text[],
    p_access_token_enc text,
    p_refresh_token_enc text default null,
    p_expires_at timestamptz default null,
    p_name text default null,
    p_time_zone text default null
)
returns table (integration_id uuid, outcome text, job_id uuid)
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_domain text;
    v_id uuid;
    v_status public.integration_status;
    v_former text;
    v_version int;
begin
    if p_integration_id is null or p_user_id is null or p_lms_connection_id is null or p_external_user_id is null
        or p_scopes is null or p_access_token_enc is null then
        raise exception 'of the parameters only p_refresh_token_enc, p_expires_at, p_name and p_time_zone may be null'
            using errcode = '22004';
    end if;
    perform private.check_time('p_expires_at', p_expires_at);
    select c.instance_domain into v_domain from public.lms_connections as c
    where c.id = p_lms_connection_id and c.provider = 'canvas' and c.status = 'active';
    if not found then
        raise exception 'no active connection has the id in p_lms_connection_id' using errcode = 'PT404';
    end if;
    -- two browser tabs of one person may finish at the same time: the lock puts one after the other
    perform from public.profiles as p where p.user_id = p_user_id for no key update;
    select i.id, i.status, i.external_user_id into v_id, v_status, v_former from public.integrations as i
    where i.user_id = p_user_id and i.provider = 'canvas' and i.instance_domain = v_domain
    for update;
    if v_id <> p_integration_id then
        -- the envelopes are bound to the integration's id: the caller must seal them again for this one
        return query select v_id, 'other_id'::text, null::uuid;
        return;
    end if;
    if v_former <> p_external_user_id and v_status <> 'revoked' then
        return query select v_id, 'other_person'::text, null::uuid;
        return;
    end if;
    begin
        if v_id is null then
            insert into public.integrations (
                id, user_id, provider, lms_connection_id, instance_domain, external_user_id, status, scopes
            )
            values (
                p_integration_id, p_user_id, 'canvas', p_lms_connection_id, v_domain, p_external_user_id, 'connected',
                p_scopes
            );
        else
            update public.integrations as i
            set lms_connection_id = p_lms_connection_id,
                external_user_id = p_external_user_id,
                status = 'connected',
                scopes = p_scopes
            where i.id = v_id;
        end if;
    exception when unique_violation then
        return query select null::uuid, 'in_use'::text, null::uuid;
        return;
    end;
    if v_former <> p_external_user_id then
        perform private.part_from_canvas_person(p_integration_id, v_former);
    end if;
    perform private.take_canvas_profile(p_user_id, p_lms_connection_id, p_external_user_id, p_name, p_time_zone);
    -- a new grant replaces both tokens: an older one must not outlive it, here or at Canvas
    select t.version into v_version from private.integration_tokens as t where t.integration_id = p_integration_id;
    perform private.give_up_grant(p_integration_id);
    insert into private.integration_tokens (
        integration_id, access_token_enc, refresh_token_enc, expires_at, version
    )
    values (
        p_integration_id, p_access_token_enc, p_refresh_token_enc, p_expires_at, coalesce(v_version, 0) + 1
    );
    return query
    select p_integration_id, 'connected'::text, j.job_id
    from public.svc_enqueue_job(
        p_type => 'canvas_sync',
        p_payload => jsonb_build_object('integration_ids', jsonb_build_array(p_integration_id)),
        p_user_id => p_user_id,
        p_dedupe_key => 'canvas_sync:' || p_integration_id
    ) as j;
end
$$;

comment on function public.svc_connect_integration(
    uuid, uuid, uuid, text, text[], text, text, timestamptz, text, text
) is
    'Stores a grant: connects the integration, stores its tokens, gives an earlier grant up, enqueues the first sync. '
    'outcome connected; other_id when the person already has an integration there under the returned id (seal the '
    'tokens for it and call again); in_use when another account has connected that Canvas person; other_person when '
    'this account has connected another Canvas person there and not disconnected them. Only connected stores '
    'anything. p_name and p_time_zone are what Canvas says of the person. PT404 without an active connection.';

grant execute on function public.svc_connect_integration(
    uuid, uuid, uuid, text, text[], text, text, timestamptz, text, text
)
to service_role;

create or replace function public.svc_expire_integration(p_integration_id uuid)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_user_id uuid;
begin
    update public.integrations set status = 'expired'
    where id = p_integration_id and status = 'connected'
    returning user_id into v_user_id;
    if not found then
        return false;
    end if;
    -- grants that were given up before have ended with this one; the job that would tell Canvas finds nothing to do
    perform private.write_audit('delete', 'grant_revocations', r.id::text, v_user_id)
    from private.grant_revocations as r where r.integration_id = p_integration_id;
    delete from private.grant_revocations where integration_id = p_integration_id;
    insert into public.notifications (user_id, type, status, title, body, payload, created_at)
    values (
        v_user_id,
        'integration_error',
        'sent',
        'Connect Canvas again',
        'The permission you gave no longer works. Your courses stay; connect again to keep them up to date.',
        jsonb_build_object('integration_id', p_integration_id, 'code', 'reauthorization_required'),
        private.clock()
    );
    return true;
end
$$;

comment on function public.svc_expire_integration(uuid) is
    'Canvas refuses the grant, or no key opens its tokens: a connected integration becomes expired and its owner gets '
    'one notification. Waiting revocations of it are dropped. False, and no second notification, when it was not '
    'connected.';

create or replace function public.svc_apply_courses(p_integration_id uuid, p_courses jsonb)
returns table (course_id uuid, canvas_course_id bigint, outcome text, is_active boolean, workflow_state text)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_user_id uuid;
begin
    select user_id into v_user_id from public.integrations where id = p_integration_id;
    if not found then
        raise exception 'no integration has the id in p_integration_id' using errcode = 'PT404';
    end if;
    if jsonb_typeof(p_courses) is distinct from 'array' then
        raise exception 'p_courses must be a JSON array' using errcode = '22023';
    end if;
    return query
    with given as (
        select g.*
        from jsonb_to_recordset(p_courses) as g (
            canvas_course_id bigint, name text, course_code text, term text, workflow_state text, time_zone text,
            raw_payload jsonb, content_hash text, access_restricted boolean
        )
    ),
    known as (
        select g.*, c.id as old_id,
            case
                when c.id is null then 'inserted'
                when g.access_restricted and c.access_restricted then 'unchanged'
                when g.access_restricted then 'updated'
                when c.content_hash is distinct from g.content_hash or c.access_restricted then 'updated'
                when c.workflow_state is distinct from g.workflow_state then 'updated'
                else 'unchanged'
            end as outcome
        from given as g
        left join public.courses as c
            on c.integration_id = p_integration_id and c.canvas_course_id = g.canvas_course_id
    ),
    written as (
        insert into public.courses as c (
            user_id, integration_id, canvas_course_id, catalog_course_id, name, course_code, term, workflow_state,
            time_zone, raw_payload, content_hash, access_restricted
        )
        select
            v_user_id, p_integration_id, k.canvas_course_id, k_catalog.id, k.name, k.course_code, k.term,
            k.workflow_state, k.time_zone, coalesce(k.raw_payload, '{}'), k.content_hash, k.access_restricted
        from known as k
        left join public.catalog_courses as k_catalog
            on k_catalog.code = public.normalize_course_code(k.course_code)
        where k.outcome <> 'unchanged'
        order by k.canvas_course_id
        on conflict on constraint courses_integration_id_canvas_course_id_key do update
        -- Canvas shows a course that is closed to the person as a stub of id and access_restricted_by_date, so what is
        -- known from before stays
        set name = case when excluded.access_restricted then c.name else excluded.name end,
            course_code = case when excluded.access_restricted then c.course_code else excluded.course_code end,
            term = case when excluded.access_restricted then c.term else excluded.term end,
            workflow_state = case
                when excluded.access_restricted then c.workflow_state
                else excluded.workflow_state
            end,
            time_zone = case when excluded.access_restricted then c.time_zone else excluded.time_zone end,
            raw_payload = case when excluded.access_restricted then c.raw_payload else excluded.raw_payload end,
            content_hash = case when excluded.access_restricted then c.content_hash else excluded.content_hash end,
            catalog_course_id = coalesce(c.catalog_course_id, excluded.catalog_course_id),
            -- a course that comes back after its deletion, or that the Canvas person of now has, too, is active again
            is_active = c.is_active or (
                (c.workflow_state = 'deleted' or c.former_external_user_id is not null)
                and not excluded.access_restricted
            ),
            former_external_user_id = case
                when excluded.access_restricted then c.former_external_user_id
            end,
            access_restricted = excluded.access_restricted
        returning c.id, c.canvas_course_id, c.is_active and not c.is_hidden as is_due, c.workflow_state
    )
    select
        coalesce(w.id, k.old_id),
        k.canvas_course_id,
        case when k.access_restricted then 'restricted' else k.outcome end,
        coalesce(w.is_due, c.is_active and not c.is_hidden),
        coalesce(w.workflow_state, c.workflow_state)
    from known as k
    left join written as w on w.canvas_course_id = k.canvas_course_id
    left join public.courses as c on c.id = k.old_id
    order by k.canvas_course_id;
end
$$;

comment on function public.svc_apply_courses(uuid, jsonb) is
    'Stores the courses of one page of the list, each once: keys canvas_course_id, name, course_code, term, '
    'workflow_state, time_zone, raw_payload, content_hash, access_restricted. Returns the outcome of each: inserted, '
    'updated, unchanged or restricted; is_active is false for a hidden one, too. A restricted one changes only its '
    'flag. PT404 when the integration does not exist.';

create or replace function public.svc_missing_courses(p_integration_id uuid, p_seen bigint[])
returns jsonb
language sql
stable
security definer
set search_path = ''
as $$
    select coalesce(
        jsonb_agg(
            jsonb_build_object('course_id', id, 'canvas_course_id', canvas_course_id::text) order by canvas_course_id
        ),
        '[]'
    )
    from public.courses
    where integration_id = p_integration_id
        and canvas_course_id <> all (p_seen)
        and workflow_state is distinct from 'deleted'
        and workflow_state is distinct from 'completed'
        and former_external_user_id is null
        and not access_restricted;
$$;

comment on function public.svc_missing_courses(uuid, bigint[]) is
    'Courses that a complete list did not contain and that are not yet known to be over: [{course_id, '
    'canvas_course_id}]. Those of a former connection are not missed.';
