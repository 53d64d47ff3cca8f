create function public.svc_finish_headstart_run(
    p_run_id uuid,
    p_status text,
    p_doc jsonb default null,
    p_error text default null,
    p_metrics jsonb default '{}'
)
returns uuid
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_run public.headstart_runs;
    v_doc_id uuid;
    v_title text;
    v_due_at timestamptz;
    v_due text;
begin
    if p_run_id is null or p_status is null then
        raise exception 'p_run_id and p_status must not be null' using errcode = '22004';
    end if;
    if p_status not in ('succeeded', 'failed', 'cancelled') then
        raise exception 'p_status must be succeeded, failed or cancelled' using errcode = '22023';
    end if;
    if (p_status = 'succeeded') <> coalesce(jsonb_typeof(p_doc) = 'object', false) then
        raise exception 'p_doc must be an object when p_status is succeeded, and null otherwise'
            using errcode = '22023';
    end if;
    if exists (
        select from jsonb_object_keys(p_doc) as key
        where key not in ('title', 'content_md', 'content_html', 'summary', 'extra')
    ) then
        raise exception 'p_doc may only have the keys title, content_md, content_html, summary and extra'
            using errcode = '22023';
    end if;

    select * into v_run from public.headstart_runs where id = p_run_id for update;
    if not found then
        raise exception 'no run has the id in p_run_id' using errcode = 'PT404';
    end if;
    if v_run.status in ('succeeded', 'failed', 'cancelled') then
        -- a worker that was killed after the commit repeats the call
        select id into v_doc_id from public.headstart_docs where run_id = p_run_id order by created_at desc limit 1;
        return v_doc_id;
    end if;

    update public.headstart_runs
    set status = p_status::public.headstart_run_status,
        error = case when p_status <> 'succeeded' then left(p_error, 2000) end,
        metrics = coalesce(p_metrics, '{}')
    where id = p_run_id;
    if p_status = 'succeeded' then
        update public.headstart_docs set status = 'superseded'
        where assignment_id = v_run.assignment_id and status = 'ready';
        insert into public.headstart_docs (
            user_id, assignment_id, run_id, status, title, content_md, content_html, summary, extra
        )
        values (
            v_run.user_id, v_run.assignment_id, p_run_id, 'ready', p_doc ->> 'title', p_doc ->> 'content_md',
            p_doc ->> 'content_html', p_doc ->> 'summary', coalesce(nullif(p_doc -> 'extra', 'null'), '{}')
        )
        returning id into v_doc_id;
    end if;
    if p_status <> 'cancelled' then
        select a.title, a.due_at,
            private.local_text(
                a.due_at, private.zone_of(p.timezone, p.timezone_source::text, c.time_zone)
            )
        into v_title, v_due_at, v_due
        from public.assignments as a
        join public.courses as c on c.id = a.course_id
        join public.profiles as p on p.user_id = a.user_id
        where a.id = v_run.assignment_id;
        insert into public.notifications (user_id, type, status, title, body, payload, created_at)
        values (
            v_run.user_id,
            (case p_status when 'succeeded' then 'headstart_ready' else 'headstart_failed' end)
            ::public.notification_type,
            'sent',
            case p_status
                when 'succeeded' then 'Your headstart is ready'
                else 'Your headstart could not be written'
            end,
            concat_ws(E'\n', left(v_title, 2000), 'Due ' || v_due),
            jsonb_strip_nulls(jsonb_build_object(
                'assignment_id', v_run.assignment_id, 'run_id', p_run_id, 'doc_id', v_doc_id,
                'due_at', to_char(v_due_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'due_text', v_due
            )),
            private.clock()
        );
    end if;
    return v_doc_id;
end
$$;

comment on function public.svc_finish_headstart_run(uuid, text, jsonb, text, jsonb) is
    'Ends a run: succeeded with its document (keys title, content_md, content_html, summary, extra), failed with an '
    'error that begins with a code, or cancelled. The document becomes the only ready one of its assignment, and the '
    'student gets one notification, which says when the work is due on their own day, or none for cancelled. On a '
    'finished run nothing changes. Returns the document''s id or null. PT404 when the run does not exist, 22023 for '
    'another status or key, 23514 for a run that cannot end this way.';
