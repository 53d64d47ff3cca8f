-- Calendar feeds of Canvas, as a source of courses and due dates until the account itself is connected.
-- Touches: 20_canvas. Undo: restore private.follow_integration_status(), private.start_canvas_sync() and
-- svc_expire_integration() of the migrations before, then drop what it creates. Courses of feeds stay as rows.

set lock_timeout = '5s';

create or replace function private.follow_integration_status()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if new.provider not in ('canvas', 'canvas_feed') then
        return null;
    end if;
    if new.status <> 'connected' then
        update private.integration_schedules set next_sync_at = null where integration_id = new.id;
        return null;
    end if;
    -- connecting enqueues the first sync, so the one after it keeps the interval (svc_start_due_syncs)
    insert into private.integration_schedules (integration_id, next_sync_at, asked_at, announcements_since)
    values (new.id, private.clock(), private.clock(), private.clock())
    on conflict on constraint integration_schedules_pkey do update
    set next_sync_at = excluded.next_sync_at,
        asked_at = excluded.asked_at,
        announcements_since = excluded.announcements_since;
    -- what asked to connect again has been done
    update public.notifications set status = 'dismissed'
    where user_id = new.user_id and type = 'integration_error' and dismissed_at is null
        and payload ->> 'integration_id' = new.id::text;
    return null;
end
$$;

create or replace function private.start_canvas_sync(
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

create or replace function public.svc_expire_integration(p_integration_id uuid)
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

create table private.integration_feeds (
    integration_id uuid primary key,
    url_enc text not null,
    etag text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint integration_feeds_integration_id_fkey
        foreign key (integration_id)
        references public.integrations(id) on delete cascade,
    constraint integration_feeds_url_enc_check check (url_enc ~ '^v[0-9]+:'),
    constraint integration_feeds_etag_check check (char_length(etag) between 1 and 500)
);

comment on table private.integration_feeds is 'The address of a calendar feed, encrypted.';
comment on column private.integration_feeds.integration_id is 'Whose feed.';
comment on column private.integration_feeds.url_enc is 'Envelope v<key number>:<base64url>.';
comment on column private.integration_feeds.etag is 'Of what was stored last; the same need not be read again.';
comment on column private.integration_feeds.created_at is 'When a feed was first added.';
comment on column private.integration_feeds.updated_at is 'When the row last changed.';

create trigger trg_integration_feeds_updated_at before update on private.integration_feeds
for each row execute function public.set_updated_at();

create function private.move_courses(p_from uuid, p_to uuid)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    -- the next listing is the first one with other eyes: what it brings besides is not news
    delete from public.course_sync_state as s
    using public.courses as c
    where c.integration_id = p_from and s.course_id = c.id;
    update public.courses as c set integration_id = p_to
    where c.integration_id = p_from and not exists (
        select from public.courses as o where o.integration_id = p_to and o.canvas_course_id = c.canvas_course_id
    );
end
$$;

comment on function private.move_courses(uuid, uuid) is
    'Gives the courses of one integration to another of the same person at the same host.';

create function private.replace_feed()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_feed uuid;
begin
    if new.provider = 'canvas_feed' and new.status = 'revoked' then
        delete from private.integration_feeds where integration_id = new.id;
    elsif new.provider = 'canvas' and new.status = 'connected' then
        update public.integrations set status = 'revoked'
        where user_id = new.user_id and provider = 'canvas_feed' and instance_domain = new.instance_domain
            and status <> 'revoked'
        returning id into v_feed;
        if found then
            perform private.move_courses(v_feed, new.id);
        end if;
    end if;
    return null;
end
$$;

comment on function private.replace_feed() is
    'AFTER INSERT OR UPDATE OF status on integrations: an account that is connected takes the courses of a feed of the '
    'same host over, and the feed ends. A feed that ends forgets its address.';

create trigger trg_integrations_feed_new after insert on public.integrations
for each row execute function private.replace_feed();
create trigger trg_integrations_feed_changed after update of status on public.integrations
for each row when (old.status is distinct from new.status) execute function private.replace_feed();

create function public.svc_put_feed(
    p_integration_id uuid,
    p_user_id uuid,
    p_instance_domain text,
    p_name text,
    p_url_enc text
)
returns table (integration_id uuid, outcome text, job_id uuid)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_id uuid;
    v_account uuid;
begin
    if num_nulls(p_integration_id, p_user_id, p_instance_domain, p_url_enc) > 0 then
        raise exception 'of the parameters only p_name may be null' using errcode = '22004';
    end if;
    -- one at a time for a person, as in svc_connect_integration
    perform from public.profiles where user_id = p_user_id for no key update;
    if exists (
        select from public.integrations
        where user_id = p_user_id and provider = 'canvas' and instance_domain = p_instance_domain
            and status = 'connected'
    ) then
        return query select null::uuid, 'account_connected'::text, null::uuid;
        return;
    end if;
    select id into v_id from public.integrations
    where user_id = p_user_id and provider = 'canvas_feed' and instance_domain = p_instance_domain
    for update;
    if v_id <> p_integration_id then
        -- the envelope is bound to the integration's id: the caller must seal it again for this one
        return query select v_id, 'other_id'::text, null::uuid;
        return;
    end if;
    insert into public.integrations (id, user_id, provider, instance_domain, status, metadata)
    values (
        p_integration_id, p_user_id, 'canvas_feed', p_instance_domain, 'connected',
        jsonb_strip_nulls(jsonb_build_object('name', p_name))
    )
    on conflict on constraint integrations_pkey do update
    set status = 'connected', metadata = excluded.metadata;
    insert into private.integration_feeds (integration_id, url_enc) values (p_integration_id, p_url_enc)
    on conflict on constraint integration_feeds_pkey do update set url_enc = excluded.url_enc, etag = null;
    select id into v_account from public.integrations
    where user_id = p_user_id and provider = 'canvas' and instance_domain = p_instance_domain;
    if found then
        perform private.move_courses(v_account, p_integration_id);
    end if;
    return query
    select p_integration_id, 'connected'::text, s.job_id
    from private.start_canvas_sync(p_user_id, array[p_integration_id], null, 0, null) as s;
end
$$;

comment on function public.svc_put_feed(uuid, uuid, text, text, text) is
    'Stores a person''s calendar feed of a host, in place of an earlier one, and starts its sync. Courses of an '
    'account that is no longer connected move to it. outcome connected; other_id when the person already has a feed '
    'there under the returned id (seal the address for it and call again); account_connected when the account itself '
    'is connected. Only connected stores anything.';

create function public.svc_get_feed(p_integration_id uuid)
returns table (url_enc text, etag text, time_zone text)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_user_id uuid;
begin
    select i.user_id into v_user_id from public.integrations as i
    join private.integration_feeds as f on f.integration_id = i.id
    where i.id = p_integration_id and i.status = 'connected';
    if not found then
        return;
    end if;
    perform private.write_audit('read', 'integration_feeds', p_integration_id::text, v_user_id);
    return query
    select f.url_enc, f.etag, private.zone_of(p.timezone, p.timezone_source::text, null)
    from private.integration_feeds as f
    join public.profiles as p on p.user_id = v_user_id
    where f.integration_id = p_integration_id;
end
$$;

comment on function public.svc_get_feed(uuid) is
    'The encrypted address of a connected feed and its owner''s time zone, or no row; audited.';

create function public.svc_apply_feed(
    p_integration_id uuid,
    p_courses jsonb,
    p_assignments jsonb,
    p_until timestamptz,
    p_etag text,
    p_run text
)
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_user_id uuid;
    v_now constant timestamptz := private.clock();
    v_courses jsonb;
    v_assignments jsonb;
    v_removed int;
begin
    perform private.check_time('p_until', p_until);
    if jsonb_typeof(p_courses) is distinct from 'array' or jsonb_typeof(p_assignments) is distinct from 'array' then
        raise exception 'p_courses and p_assignments must be JSON arrays' using errcode = '22023';
    end if;
    -- an account that is being connected takes the courses over before or after this, not meanwhile
    select user_id into v_user_id from public.integrations
    where id = p_integration_id and provider = 'canvas_feed' and status = 'connected' for no key update;
    if not found then
        return null;
    end if;
    with given as (
        select * from jsonb_to_recordset(p_courses) as g (canvas_course_id bigint, code text)
    ),
    known as (
        select
            g.*,
            coalesce(g.code, 'Course ' || g.canvas_course_id) as name,
            c.id as old_id,
            c.id is not null and (
                not c.is_active or c.former_external_user_id is not null or c.access_restricted
                or (c.raw_payload ->> 'source' = 'feed' and c.course_code is distinct from g.code)
            ) as is_changed
        from given as g
        left join public.courses as c
            on c.integration_id = p_integration_id and c.canvas_course_id = g.canvas_course_id
    ),
    written as (
        insert into public.courses as c (
            user_id, integration_id, canvas_course_id, catalog_course_id, name, course_code, workflow_state, raw_payload
        )
        select
            v_user_id, p_integration_id, k.canvas_course_id, o.id, k.name, k.code, 'available',
            jsonb_build_object('source', 'feed')
        from known as k
        left join public.catalog_courses as o on o.code = public.normalize_course_code(k.code)
        where k.old_id is null or k.is_changed
        order by k.canvas_course_id
        -- an account knows more than a feed, so what came through one stays
        on conflict on constraint courses_integration_id_canvas_course_id_key do update
        set name = case when c.raw_payload ->> 'source' = 'feed' then excluded.name else c.name end,
            course_code = case
                when c.raw_payload ->> 'source' = 'feed' then excluded.course_code
                else c.course_code
            end,
            is_active = true,
            access_restricted = false,
            former_external_user_id = null
        returning c.id
    )
    select jsonb_build_object(
        'seen', count(*), 'inserted', count(*) filter (where k.old_id is null),
        'updated', count(*) filter (where k.is_changed),
        'unchanged', count(*) filter (where k.old_id is not null and not k.is_changed)
    )
    into v_courses from known as k;

    with given as (
        select g.*, c.id as course_id
        from jsonb_to_recordset(p_assignments) as g (
            canvas_course_id bigint, canvas_assignment_id bigint, title text, description_html text,
            due_at timestamptz, canvas_url text, is_all_day boolean, content_hash text, html_hash text
        )
        join public.courses as c
            on c.integration_id = p_integration_id and c.canvas_course_id = g.canvas_course_id
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
            on a.course_id = g.course_id and a.canvas_assignment_id = g.canvas_assignment_id
    ),
    written as (
        insert into public.assignments as a (
            user_id, course_id, canvas_assignment_id, title, description_html, due_at, canvas_url, raw_payload,
            content_hash, html_hash, last_synced_at
        )
        select
            v_user_id, k.course_id, k.canvas_assignment_id, k.title, k.description_html, k.due_at, k.canvas_url,
            jsonb_build_object('source', 'feed', 'is_all_day', k.is_all_day), k.content_hash, k.html_hash, v_now
        from known as k
        where k.outcome <> 'unchanged'
        order by k.course_id, k.canvas_assignment_id
        on conflict on constraint assignments_course_id_canvas_assignment_id_key do update
        set title = excluded.title,
            description_html = coalesce(excluded.description_html, a.description_html),
            due_at = excluded.due_at,
            raw_payload = a.raw_payload || excluded.raw_payload,
            content_hash = excluded.content_hash,
            html_hash = coalesce(excluded.html_hash, a.html_hash),
            status = case when a.status = 'removed' then 'open' else a.status end,
            last_synced_at = excluded.last_synced_at
        returning a.id
    )
    select jsonb_build_object(
        'seen', count(*),
        'inserted', count(*) filter (where k.outcome = 'inserted'),
        'updated', count(*) filter (where k.outcome = 'updated'),
        'unchanged', count(*) filter (where k.outcome = 'unchanged'),
        'restored', count(*) filter (where k.outcome = 'restored')
    )
    into v_assignments from known as k;

    -- Canvas leaves out what is past, what is far away, and whole courses that are over or not chosen
    update public.assignments as a set status = 'removed', last_synced_at = v_now
    from public.courses as c
    where c.integration_id = p_integration_id and a.course_id = c.id and a.status = 'open'
        and a.due_at > v_now and a.due_at < p_until
        and c.canvas_course_id in (select (g ->> 'canvas_course_id')::bigint from jsonb_array_elements(p_courses) as g)
        and a.canvas_assignment_id not in (
            select (g ->> 'canvas_assignment_id')::bigint from jsonb_array_elements(p_assignments) as g
        );
    get diagnostics v_removed = row_count;

    insert into public.course_sync_state as s (user_id, course_id, cursor, last_polled_at)
    select
        v_user_id, c.id,
        jsonb_build_object('run', p_run, 'listing', 'feed', 'next', null, 'complete_at', v_now), v_now
    from public.courses as c
    where c.integration_id = p_integration_id
        and c.canvas_course_id in (select (g ->> 'canvas_course_id')::bigint from jsonb_array_elements(p_courses) as g)
    order by c.id
    on conflict on constraint course_sync_state_course_id_key do update
    set cursor = excluded.cursor, last_polled_at = excluded.last_polled_at;
    update private.integration_feeds set etag = p_etag where integration_id = p_integration_id;
    return jsonb_build_object(
        'courses', v_courses, 'assignments', v_assignments || jsonb_build_object('removed', v_removed)
    );
end
$$;

comment on function public.svc_apply_feed(uuid, jsonb, jsonb, timestamptz, text, text) is
    'Stores what a calendar feed shows, all or nothing: courses with keys canvas_course_id and code, each once, and '
    'assignments with canvas_course_id, canvas_assignment_id, title, description_html, due_at, canvas_url, is_all_day, '
    'content_hash, html_hash, each once. What an account brought before stays where a feed says nothing. An open '
    'assignment of a course in the feed that is due from now until p_until, and missing, becomes removed; p_until in '
    'the past removes nothing. Returns the counts of courses and assignments; null when the feed is not connected.';

alter table private.integration_feeds enable row level security;

create policy nobody on private.integration_feeds to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.integration_feeds is
    'Closed on purpose: only the service''s definer functions use it.';

grant execute on function public.svc_put_feed(uuid, uuid, text, text, text) to service_role;

grant execute on function public.svc_get_feed(uuid) to service_role;

grant execute on function public.svc_apply_feed(uuid, jsonb, jsonb, timestamptz, text, text) to service_role;
