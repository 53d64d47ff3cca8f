-- Headstarts that start by themselves, for students who switched that on. A new or changed task is reported where the
-- row is written, so no sync can forget it. What is due soon is found by a schedule. Both reach the job headstart_scan,
-- which asks for each assignment by itself (svc_start_automatic_headstart).

create function private.task_hash(
    p_title text,
    p_description_html text,
    p_points numeric,
    p_submission_types text[],
    p_raw_payload jsonb
)
returns text
language sql
immutable
set search_path = ''
as $$
    select md5(jsonb_build_array(
        p_title, p_description_html, p_points, p_submission_types, p_raw_payload -> 'rubric',
        p_raw_payload -> 'attachments', p_raw_payload -> 'embedded'
    )::text);
$$;

comment on function private.task_hash(text, text, numeric, text[], jsonb) is
    'Hash of what is asked of the student. content_hash also changes with dates, positions and submissions.';

create function private.report_changes(p_user_id uuid, p_changes jsonb)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    -- without user_id: it takes none of the person's slots
    perform public.svc_enqueue_job(
        p_type => 'headstart_scan', p_priority => -10,
        p_payload => jsonb_build_object('user_id', p_user_id, 'changes', p_changes)
    );
end
$$;

comment on function private.report_changes(uuid, jsonb) is
    'Enqueues the job headstart_scan for changes of a person''s assignments: [{assignment_id, trigger}].';

create function private.report_new_assignments()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_report record;
begin
    for v_report in
        select
            n.user_id,
            jsonb_agg(
                jsonb_build_object('assignment_id', n.id, 'trigger', 'assignment_published')
                order by n.due_at nulls last, n.id
            ) as changes
        from new_rows as n
        join public.user_settings as s on s.user_id = n.user_id
        where n.status = 'open' and s.preferences -> 'headstart' -> 'auto' = 'true'
        group by n.user_id
        order by n.user_id
    loop
        perform private.report_changes(v_report.user_id, v_report.changes);
    end loop;
    return null;
end
$$;

comment on function private.report_new_assignments() is
    'AFTER INSERT on assignments: reports new ones of students with automatic headstarts.';

create function private.report_changed_assignments()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_report record;
begin
    -- the old row is the one that this statement replaced: of two syncs at once only the first finds a change
    for v_report in
        select
            n.user_id,
            jsonb_agg(
                jsonb_build_object(
                    'assignment_id', n.id,
                    'trigger',
                    case o.status when 'removed' then 'assignment_published' else 'content_changed' end
                )
                order by n.due_at nulls last, n.id
            ) as changes
        from new_rows as n
        join old_rows as o on o.id = n.id
        join public.user_settings as s on s.user_id = n.user_id
        where n.status = 'open' and s.preferences -> 'headstart' -> 'auto' = 'true'
            and (
                o.status = 'removed'
                -- Canvas takes the text away while it locks the assignment; that is no other task
                or (
                    (n.description_html is not null or o.description_html is null)
                    and private.task_hash(
                        n.title, n.description_html, n.points_possible, n.submission_types, n.raw_payload
                    ) <> private.task_hash(
                        o.title, o.description_html, o.points_possible, o.submission_types, o.raw_payload
                    )
                )
            )
        group by n.user_id
        order by n.user_id
    loop
        perform private.report_changes(v_report.user_id, v_report.changes);
    end loop;
    return null;
end
$$;

comment on function private.report_changed_assignments() is
    'AFTER UPDATE on assignments: reports those whose task changed, and those that came back, of students with '
    'automatic headstarts.';

create trigger trg_assignments_report_new after insert on public.assignments
referencing new table as new_rows
for each statement execute function private.report_new_assignments();
create trigger trg_assignments_report_changed after update on public.assignments
referencing old table as old_rows new table as new_rows
for each statement execute function private.report_changed_assignments();

create function private.headstart_hindrance(
    p_assignment_id uuid, p_trigger public.headstart_trigger, p_prompt_version text
)
returns text
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_now constant timestamptz := private.clock();
    v_assignment public.assignments;
    v_wish record;
    v_hash text;
    v_live public.headstart_runs;
    v_day timestamp;
    v_zone text;
begin
    select * into v_assignment from public.assignments where id = p_assignment_id;
    if not found then
        return 'off';
    end if;
    select
        s.preferences -> 'headstart' -> 'auto' = 'true' as is_auto,
        make_interval(hours => coalesce((s.preferences -> 'headstart' ->> 'lead_hours')::numeric::int, 48)) as lead,
        coalesce((s.preferences -> 'headstart' ->> 'max_per_day')::numeric::int, 5) as max_per_day,
        s.preferences -> 'headstart' -> 'excluded_course_ids' ? v_assignment.course_id::text as is_excluded
    into v_wish
    from public.user_settings as s where s.user_id = v_assignment.user_id;
    if v_wish.is_auto is distinct from true then
        return 'off';
    elsif v_wish.is_excluded then
        return 'course_excluded';
    elsif v_assignment.due_at <= v_now or v_assignment.lock_at <= v_now
        or not exists (select from public.v_open_assignments where id = p_assignment_id)
    then
        return 'over';
    elsif p_trigger = 'due_soon'
        and (v_assignment.due_at is null or v_assignment.due_at > v_now + v_wish.lead)
    then
        return 'not_due';
    end if;

    v_hash := private.task_hash(
        v_assignment.title, v_assignment.description_html, v_assignment.points_possible, v_assignment.submission_types,
        v_assignment.raw_payload
    );
    select * into v_live from public.headstart_runs
    where assignment_id = p_assignment_id and status in ('queued', 'running');
    -- a queued run will read the task as it is now
    if found then
        return case when v_live.status = 'queued' or v_live.task_hash = v_hash then 'written' else 'busy' end;
    end if;
    if exists (
        select from public.headstart_runs
        where assignment_id = p_assignment_id and trigger = p_trigger and task_hash = v_hash
            and prompt_version = p_prompt_version
    ) or exists (
        -- the student can read one of the same task; what is due soon wants a plan of these days
        select from public.headstart_docs as d
        join public.headstart_runs as r on r.id = d.run_id
        where d.assignment_id = p_assignment_id and d.status = 'ready' and r.task_hash = v_hash
            and r.prompt_version = p_prompt_version
            and (p_trigger <> 'due_soon' or r.created_at >= v_assignment.due_at - v_wish.lead)
    ) then
        return 'written';
    end if;

    select timezone into v_zone from public.profiles where user_id = v_assignment.user_id;
    v_day := date_trunc('day', v_now at time zone v_zone);
    -- both ends are local times, because the day of a clock change has 23 or 25 hours
    if (
        select count(*) from public.headstart_runs
        where user_id = v_assignment.user_id and trigger <> 'manual' and created_at >= v_day at time zone v_zone
            and created_at < (v_day + interval '1 day') at time zone v_zone
    ) >= v_wish.max_per_day then
        return 'quota';
    end if;
    return null;
end
$$;

comment on function private.headstart_hindrance(uuid, public.headstart_trigger, text) is
    'Why no headstart starts by itself now: off, course_excluded, over (done, hidden, handed in, closed, past), '
    'not_due, written, busy (a run reads an older text) or quota; null when nothing stands in the way.';

create function public.svc_start_automatic_headstart(
    p_user_id uuid,
    p_assignment_id uuid,
    p_trigger text,
    p_prompt_version text
)
returns table (outcome text, run_id uuid, job_id uuid)
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if num_nulls(p_user_id, p_assignment_id, p_trigger, p_prompt_version) > 0 then
        raise exception 'p_user_id, p_assignment_id, p_trigger and p_prompt_version must not be null'
            using errcode = '22004';
    end if;
    if p_trigger not in ('assignment_published', 'due_soon', 'content_changed') then
        raise exception 'p_trigger must be assignment_published, due_soon or content_changed' using errcode = '22023';
    end if;
    -- of two at once for a person the second waits here, and counts and finds the run of the first
    perform from public.user_settings where user_id = p_user_id for update;
    if not exists (select from public.assignments where id = p_assignment_id and user_id = p_user_id) then
        outcome := 'off';
    else
        outcome := private.headstart_hindrance(
            p_assignment_id, p_trigger::public.headstart_trigger, p_prompt_version
        );
    end if;
    if outcome is null then
        select r.run_id, r.job_id into run_id, job_id
        from public.svc_start_headstart_run(p_user_id, p_assignment_id, p_trigger, p_prompt_version) as r;
        outcome := case when job_id is null then 'written' else 'started' end;
    end if;
    return next;
end
$$;

comment on function public.svc_start_automatic_headstart(uuid, uuid, text, text) is
    'Starts a headstart because something happened, once for each assignment, trigger, task and prompt version. '
    'outcome: started, or why not: see private.headstart_hindrance. After busy, call again when the live run has '
    'ended.';

create function public.svc_due_headstarts(p_prompt_version text, p_limit int default 200)
returns table (user_id uuid, assignment_id uuid)
language plpgsql
stable
security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
    if p_prompt_version is null then
        raise exception 'p_prompt_version must not be null' using errcode = '22004';
    end if;
    perform private.check_number('p_limit', p_limit, 1, 1000);
    return query
    select a.user_id, a.id
    from public.user_settings as s
    join public.assignments as a on a.user_id = s.user_id
    where s.preferences -> 'headstart' -> 'auto' = 'true' and a.status = 'open'
        and a.due_at > private.clock() and a.due_at <= private.clock() + interval '336 hours'
        and private.headstart_hindrance(a.id, 'due_soon', p_prompt_version) is null
    order by a.due_at, a.id
    limit p_limit;
end
$$;

comment on function public.svc_due_headstarts(text, int) is
    'Assignments that are due soon, as each person set it, and for which a headstart would start now; the next due '
    'first.';
