-- The writes of canvas-oauth and canvas-sync. Each REST call is a transaction of its own, so a change of several rows
-- is one function here. They are for the service alone, which checks ownership before it calls.
--
--   connect     grant -> integrations + private.integration_tokens + first job
--   course list -> svc_apply_courses -> (missing ones looked at again) -> svc_mark_course
--   pages of assignments, with their cursors -> svc_apply_assignment_pages (sync_listings.sql)
--               -> (missing ones looked at again) -> svc_apply_assignment_pages
--
-- Rows with an unchanged hash are not touched: a run without news writes nothing to courses and assignments.

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
        is_done_in_canvas = false,
        content_hash = null
    from public.courses as c
    where c.integration_id = p_integration_id and a.course_id = c.id
        and (
            a.submission is not null or a.status in ('submitted', 'graded') or a.is_done_in_canvas
            or a.content_hash is not null
        );
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
    p_time_zone text default null,
    p_is_personal boolean default false
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
        or p_scopes is null or p_access_token_enc is null or p_is_personal is null then
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
    -- what the owner sees of a token that we cannot renew
    update public.integrations as i
    set metadata = i.metadata - array['is_personal_token', 'token_expires_at'] || case
        when p_is_personal
            then jsonb_build_object('is_personal_token', true, 'token_expires_at', p_expires_at)
        else '{}'
    end
    where i.id = p_integration_id and (p_is_personal or i.metadata ? 'is_personal_token');
    if v_former <> p_external_user_id then
        perform private.part_from_canvas_person(p_integration_id, v_former);
    end if;
    perform private.take_canvas_profile(p_user_id, p_lms_connection_id, p_external_user_id, p_name, p_time_zone);
    -- a new grant replaces both tokens: an older one must not outlive it, here or at Canvas
    select t.version into v_version from private.integration_tokens as t where t.integration_id = p_integration_id;
    perform private.give_up_grant(p_integration_id);
    insert into private.integration_tokens (
        integration_id, access_token_enc, refresh_token_enc, expires_at, is_personal, version
    )
    values (
        p_integration_id, p_access_token_enc, p_refresh_token_enc, p_expires_at, p_is_personal,
        coalesce(v_version, 0) + 1
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
    uuid, uuid, uuid, text, text[], text, text, timestamptz, text, text, boolean
) is
    'Stores a grant: connects the integration, stores its tokens, gives an earlier grant up, enqueues the first sync. '
    'outcome connected; other_id when the person already has an integration there under the returned id (seal the '
    'tokens for it and call again); in_use when another account has connected that Canvas person; other_person when '
    'this account has connected another Canvas person there and not disconnected them. Only connected stores '
    'anything. p_name and p_time_zone are what Canvas says of the person; p_is_personal: the token is one that the '
    'person made in Canvas, and metadata says when it ends. PT404 without an active connection.';

create function public.svc_disconnect_integration(p_integration_id uuid)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    perform private.give_up_grant(p_integration_id);
    update public.integrations set status = 'revoked' where id = p_integration_id and status <> 'revoked';
end
$$;

comment on function public.svc_disconnect_integration(uuid) is
    'Forgets the tokens, enqueues their revocation at Canvas and revokes the integration; courses stay. Safe to '
    'repeat.';

create function public.svc_expire_integration(p_integration_id uuid)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_user_id uuid;
    v_is_feed boolean;
begin
    update public.integrations set status = 'expired'
    where id = p_integration_id and status = 'connected'
    returning user_id, provider = 'canvas_feed' into v_user_id, v_is_feed;
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
        case when v_is_feed then 'Add your Canvas calendar again' else 'Connect Canvas again' end,
        case
            when v_is_feed
                then 'The address of your calendar no longer works. Your courses stay; copy the new one from Canvas.'
            else 'The permission you gave no longer works. Your courses stay; connect again to keep them up to date.'
        end,
        jsonb_build_object(
            'integration_id', p_integration_id,
            'code', case when v_is_feed then 'feed_gone' else 'reauthorization_required' end
        ),
        private.clock()
    );
    return true;
end
$$;

comment on function public.svc_expire_integration(uuid) is
    'Canvas refuses the grant, or no key opens its tokens: a connected integration becomes expired and its owner gets '
    'one notification. Waiting revocations of it are dropped. False, and no second notification, when it was not '
    'connected.';

create function public.svc_apply_courses(p_integration_id uuid, p_courses jsonb)
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

create function public.svc_missing_courses(p_integration_id uuid, p_seen bigint[])
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

create function public.svc_mark_course(
    p_course_id uuid,
    p_workflow_state text default null,
    p_restricted boolean default false
)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    update public.courses
    set workflow_state = coalesce(p_workflow_state, workflow_state),
        access_restricted = p_restricted,
        is_active = is_active and p_workflow_state is distinct from 'deleted'
    where id = p_course_id
        and (
            workflow_state is distinct from coalesce(p_workflow_state, workflow_state)
            or access_restricted is distinct from p_restricted
        );
    return found;
end
$$;

comment on function public.svc_mark_course(uuid, text, boolean) is
    'Stores what a second look at a missing course showed: completed, deleted (no longer active) or closed to this '
    'person. Rows of the course stay. False when it was known before.';

create function public.svc_apply_assignments(p_course_id uuid, p_assignments jsonb, p_cursor jsonb)
returns table (seen int, inserted int, updated int, unchanged int, restored int)
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_user_id uuid;
begin
    select c.user_id into v_user_id from public.courses as c where c.id = p_course_id;
    if not found then
        raise exception 'no course has the id in p_course_id' using errcode = 'PT404';
    end if;
    if jsonb_typeof(p_assignments) is distinct from 'array' then
        raise exception 'p_assignments must be a JSON array' using errcode = '22023';
    end if;
    return query
    with given as (
        select g.*
        from jsonb_to_recordset(p_assignments) as g (
            canvas_assignment_id bigint, title text, description_html text, due_at timestamptz, unlock_at timestamptz,
            lock_at timestamptz, points_possible numeric, submission_types text[], position int, canvas_url text,
            published_at timestamptz, status public.assignment_status, submission jsonb, raw_payload jsonb,
            content_hash text, html_hash text, hidden_notes text, is_description_cut boolean
        )
    ),
    known as (
        select g.*,
            case
                when a.id is null then 'inserted'
                when a.status = 'removed' then 'restored'
                when a.content_hash is distinct from g.content_hash then 'updated'
                else 'unchanged'
            end as outcome
        from given as g
        left join public.assignments as a
            on a.course_id = p_course_id and a.canvas_assignment_id = g.canvas_assignment_id
    ),
    written as (
        insert into public.assignments as a (
            user_id, course_id, canvas_assignment_id, title, description_html, due_at, unlock_at, lock_at,
            points_possible, submission_types, position, canvas_url, published_at, status, submission, raw_payload,
            content_hash, html_hash, is_description_cut, last_synced_at
        )
        select
            v_user_id, p_course_id, k.canvas_assignment_id, k.title, k.description_html,
            k.due_at, k.unlock_at, k.lock_at,
            k.points_possible, coalesce(k.submission_types, '{}'), k.position, k.canvas_url, k.published_at, k.status,
            nullif(k.submission, 'null'), coalesce(k.raw_payload, '{}'), k.content_hash, k.html_hash,
            coalesce(k.is_description_cut, false), private.clock()
        from known as k
        where k.outcome <> 'unchanged'
        order by k.canvas_assignment_id
        on conflict on constraint assignments_course_id_canvas_assignment_id_key do update
        set title = excluded.title,
            description_html = excluded.description_html,
            due_at = excluded.due_at,
            unlock_at = excluded.unlock_at,
            lock_at = excluded.lock_at,
            points_possible = excluded.points_possible,
            submission_types = excluded.submission_types,
            position = excluded.position,
            canvas_url = excluded.canvas_url,
            published_at = coalesce(excluded.published_at, a.published_at),
            status = excluded.status,
            submission = excluded.submission,
            raw_payload = excluded.raw_payload,
            content_hash = excluded.content_hash,
            html_hash = excluded.html_hash,
            is_description_cut = excluded.is_description_cut,
            last_synced_at = excluded.last_synced_at
        returning a.id, a.canvas_assignment_id
    ),
    noted as (
        insert into private.assignment_notes as n (assignment_id, notes)
        select w.id, k.hidden_notes
        from written as w
        join known as k on k.canvas_assignment_id = w.canvas_assignment_id
        where k.hidden_notes is not null
        on conflict on constraint assignment_notes_pkey do update set notes = excluded.notes
        returning n.assignment_id
    ),
    forgotten as (
        delete from private.assignment_notes as n
        using written as w
        join known as k on k.canvas_assignment_id = w.canvas_assignment_id
        where n.assignment_id = w.id and k.hidden_notes is null
        returning n.assignment_id
    ),
    cursor_kept as (
        insert into public.course_sync_state as s (user_id, course_id, cursor, last_polled_at)
        values (v_user_id, p_course_id, p_cursor, private.clock())
        on conflict on constraint course_sync_state_course_id_key do update
        set cursor = excluded.cursor, last_polled_at = excluded.last_polled_at
        returning s.id
    )
    select
        count(*)::int,
        (count(*) filter (where k.outcome = 'inserted'))::int,
        (count(*) filter (where k.outcome = 'updated'))::int,
        (count(*) filter (where k.outcome = 'unchanged'))::int,
        (count(*) filter (where k.outcome = 'restored'))::int
    from known as k;
end
$$;

comment on function public.svc_apply_assignments(uuid, jsonb, jsonb) is
    'Stores the assignments of one page, each once, with the table''s columns and hidden_notes as keys, and the '
    'cursor with them. Rows with an unchanged hash are not touched. A removed one that reappears is restored with the '
    'same id. Returns the counts. PT404 when the course does not exist.';

create function public.svc_missing_assignments(p_course_id uuid, p_seen bigint[])
returns bigint[]
language sql
stable
security definer
set search_path = ''
as $$
    select coalesce(array_agg(canvas_assignment_id order by canvas_assignment_id), '{}')
    from public.assignments
    where course_id = p_course_id and (status <> 'removed' or is_unpublished)
        and canvas_assignment_id <> all (p_seen);
$$;

comment on function public.svc_missing_assignments(uuid, bigint[]) is
    'Canvas ids of stored assignments that Canvas still has, as far as we know, and that were not in a complete list '
    'of published ones.';

create function public.svc_finish_assignments(
    p_course_id uuid,
    p_gone bigint[],
    p_cursor jsonb,
    p_unpublished bigint[] default '{}'
)
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_removed int;
begin
    with left_out as (
        select a.id, a.status <> 'removed' as is_new, a.canvas_assignment_id = any (p_unpublished) as is_unpublished
        from public.assignments as a
        where a.course_id = p_course_id and a.canvas_assignment_id = any (p_gone || p_unpublished)
            and (a.status <> 'removed' or a.is_unpublished <> (a.canvas_assignment_id = any (p_unpublished)))
        order by a.id
        for no key update
    ),
    written as (
        update public.assignments as a
        set status = 'removed', is_unpublished = l.is_unpublished, last_synced_at = private.clock()
        from left_out as l where a.id = l.id
    )
    select count(*) filter (where l.is_new) into v_removed from left_out as l;
    insert into public.course_sync_state as s (user_id, course_id, cursor, last_polled_at)
    select c.user_id, c.id, p_cursor, private.clock() from public.courses as c where c.id = p_course_id
    on conflict on constraint course_sync_state_course_id_key do update
    set cursor = excluded.cursor, last_polled_at = excluded.last_polled_at;
    return v_removed;
end
$$;

comment on function public.svc_finish_assignments(uuid, bigint[], jsonb, bigint[]) is
    'Ends a complete list: assignments that are confirmed gone (p_gone) or unpublished become removed, their rows '
    'stay, and the cursor records it. Only unpublished ones carry is_unpublished. Returns how many became removed. '
    'Safe to repeat.';
