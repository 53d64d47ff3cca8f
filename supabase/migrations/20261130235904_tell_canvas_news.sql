-- People are told of announcements, of new assignments and of what is due, each once.
-- Touches: 20_canvas, 40_planner, 90_platform. Undo: delete the schedule due_scan, drop what it creates, newest first, and
-- restore private.follow_integration_status() of the migration before. Lines of the inbox that it wrote may stay.

set lock_timeout = '5s';

alter table public.notifications
add column event_key text,
add constraint notifications_event_key_check check (char_length(event_key) between 1 and 200);

create unique index uq_notifications_event on public.notifications (user_id, event_key) where event_key is not null;

comment on column public.notifications.event_key is
    'What it tells of, where that is told once: kind and ids. Null where lines may repeat.';

alter table public.course_sync_state add column listed_at timestamptz;

comment on column public.course_sync_state.listed_at is
    'When its first complete listing ended: assignments that come later are new.';

-- those that were listed before stay as they were told, which is not at all
update public.course_sync_state set listed_at = last_polled_at where last_polled_at is not null;

create function private.note_first_listing()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if new.cursor ->> 'complete_at' is not null then
        new.listed_at := private.clock();
    end if;
    return new;
end
$$;

comment on function private.note_first_listing() is
    'BEFORE INSERT OR UPDATE on course_sync_state: records when a complete listing was stored for the first time.';

create trigger trg_course_sync_state_listed before insert or update of cursor on public.course_sync_state
for each row when (new.listed_at is null) execute function private.note_first_listing();

-- what was announced until now is not news
alter table private.integration_schedules add column announcements_since timestamptz not null default now();

comment on column private.integration_schedules.announcements_since is
    'When it was last connected: what Canvas announced before is not news.';

create or replace function private.follow_integration_status()
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

comment on function private.follow_integration_status() is
    'AFTER INSERT OR UPDATE OF status on integrations: a connected one is synced by schedule, any other is not. '
    'Connecting again dismisses the notification that asked for it.';

create function public.svc_announcement_courses(p_integration_id uuid)
returns text[]
language sql
stable
security definer
set search_path = ''
as $$
    select coalesce(array_agg(c.canvas_id order by c.canvas_course_id), '{}')
    from public.courses as c
    join public.integrations as i on i.id = c.integration_id
    where c.integration_id = p_integration_id
        and c.is_active and not c.is_hidden and not c.access_restricted
        and coalesce(c.workflow_state, '') not in ('completed', 'deleted', 'unpublished')
        -- no scopes: a token that is not scoped
        and (i.scopes = '{}' or 'url:GET|/api/v1/announcements' = any (i.scopes));
$$;

comment on function public.svc_announcement_courses(uuid) is
    'Canvas ids of the courses whose announcements its owner wants to hear of. None when the grant does not cover '
    'announcements.';

create function public.svc_apply_announcements(p_integration_id uuid, p_announcements jsonb)
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_count int;
begin
    if jsonb_typeof(p_announcements) is distinct from 'array' then
        raise exception 'p_announcements must be a JSON array' using errcode = '22023';
    end if;
    insert into public.notifications (user_id, type, status, title, body, payload, event_key, created_at)
    select
        i.user_id,
        'announcement',
        'sent',
        'New announcement',
        concat_ws(e'\n', left(g.title, 2000), left(c.name, 2000)),
        jsonb_strip_nulls(jsonb_build_object(
            'course_id', c.id, 'canvas_announcement_id', g.canvas_announcement_id::text, 'url', g.url
        )),
        format('announcement:%s:%s', i.id, g.canvas_announcement_id),
        private.clock()
    from jsonb_to_recordset(p_announcements) as g (
        canvas_course_id bigint, canvas_announcement_id bigint, title text, posted_at timestamptz, url text,
        author_id text
    )
    join public.integrations as i on i.id = p_integration_id
    join private.integration_schedules as s on s.integration_id = i.id
    join public.courses as c on c.integration_id = i.id and c.canvas_course_id = g.canvas_course_id
    where
        not c.is_hidden
        -- what was posted before we knew the course, or while nobody was connected, is not news
        and g.posted_at > greatest(c.created_at, s.announcements_since)
        and g.posted_at <= private.clock()
        and g.author_id is distinct from i.external_user_id
    order by g.posted_at, g.canvas_announcement_id
    on conflict (user_id, event_key) where event_key is not null do nothing;
    get diagnostics v_count = row_count;
    return v_count;
end
$$;

comment on function public.svc_apply_announcements(uuid, jsonb) is
    'Tells an integration''s owner of announcements, each once: keys canvas_course_id, canvas_announcement_id, title, '
    'posted_at, url, author_id. Left out are their own, those of hidden courses, and those older than the course or '
    'the connection here. Returns how many were told.';

create function private.assignment_notification(p_type public.notification_type, p_event_key text, p_id uuid)
returns void
language sql
volatile
security definer
set search_path = ''
as $$
    insert into public.notifications (user_id, type, status, title, body, payload, event_key, created_at)
    select
        a.user_id,
        p_type,
        'sent',
        case p_type when 'assignment_new' then 'New assignment' else 'Due soon' end,
        concat_ws(e'\n', left(a.title, 2000), left(a.course_name, 2000), 'Due ' || t.due_text),
        jsonb_strip_nulls(jsonb_build_object(
            'assignment_id', a.id, 'course_id', a.course_id,
            'due_at', to_char(a.due_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'due_text', t.due_text
        )),
        p_event_key,
        private.clock()
    from public.v_open_assignments as a
    join public.courses as c on c.id = a.course_id
    join public.profiles as p on p.user_id = a.user_id
    cross join lateral (
        select private.local_text(
            a.due_at, private.zone_of(p.timezone, p.timezone_source::text, c.time_zone)
        ) as due_text
    ) as t
    where a.id = p_id
    on conflict (user_id, event_key) where event_key is not null do nothing;
$$;

comment on function private.assignment_notification(public.notification_type, text, uuid) is
    'Tells a person of an assignment that they still have to do, with its due time on their own day; nothing when they '
    'were told of this event before.';

create function private.notify_new_assignments()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform private.assignment_notification('assignment_new', 'assignment_new:' || n.id, n.id)
    from new_rows as n
    join public.profiles as p on p.user_id = n.user_id
    join public.course_sync_state as s on s.course_id = n.course_id
    where n.status = 'open' and p.role <> 'teacher' and (n.due_at is null or n.due_at > private.clock())
        -- what the first listing of a course brings is not news; it may end in this very transaction
        and s.listed_at < private.clock();
    return null;
end
$$;

comment on function private.notify_new_assignments() is
    'AFTER INSERT on assignments: tells people of what is new in a course that was listed before.';

create trigger trg_assignments_notify_new after insert on public.assignments
referencing new table as new_rows
for each statement execute function private.notify_new_assignments();

create function public.svc_notify_due_assignments(p_limit int default 500)
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_now constant timestamptz := private.clock();
    v_count int;
begin
    perform private.check_number('p_limit', p_limit, 1, 5000);
    -- a date that moves to another day is another event
    perform private.assignment_notification('assignment_due', d.event_key, d.id)
    from (
        select a.id, e.event_key
        from public.assignments as a
        join public.v_open_assignments as o on o.id = a.id
        join public.profiles as p on p.user_id = a.user_id
        cross join lateral (
            select format('assignment_due:%s:%s', a.id, to_char(a.due_at at time zone 'UTC', 'YYYY-MM-DD')) as event_key
        ) as e
        where a.status = 'open' and a.due_at > v_now and a.due_at <= v_now + interval '24 hours'
            and p.role <> 'teacher'
            and not exists (
                select from public.notifications as n where n.user_id = a.user_id and n.event_key = e.event_key
            )
        order by a.due_at, a.id
        limit p_limit
    ) as d;
    get diagnostics v_count = row_count;
    return v_count;
end
$$;

comment on function public.svc_notify_due_assignments(int) is
    'Tells people of what is due within 24 hours, once for each assignment and day. Returns how many were told; call '
    'it until that is 0.';

grant execute on function public.svc_announcement_courses(uuid) to service_role;

grant execute on function public.svc_apply_announcements(uuid, jsonb) to service_role;

grant execute on function public.svc_notify_due_assignments(int) to service_role;

-- What is due within a day is looked for four times an hour.

insert into private.job_schedules (name, cron, next_run_at, type)
values ('due_scan', '*/15 * * * *', private.cron_next('*/15 * * * *', 'UTC', now()), 'due_scan');
