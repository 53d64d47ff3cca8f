-- Announcements of Canvas. Only their notification is kept.

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
