-- What a person is told of their assignments, each once: a new one where its row is written, so that no sync can forget
-- it, and what is due within a day by a schedule. Hidden, done and handed in are v_open_assignments' word, and teachers
-- are not told of the work that they set.

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
    'Tells a person of an assignment that they still have to do, with its due time on their own day; nothing when '
    'they were told of this event before.';

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
