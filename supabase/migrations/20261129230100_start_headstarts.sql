-- Headstarts start by themselves for students who want that: when an assignment is new, when its task changes, and when it
-- is due soon. Their wish is checked when it is stored; one that could not be read is taken out of old rows.
-- Touches: public.user_settings (check, index), public.headstart_runs (column), public.assignments (triggers),
--   svc_start_headstart_run, svc_begin_headstart_run, private.job_schedules.
-- Undo: delete the schedule headstart_scan, drop what it creates, newest first, and restore both functions of the
--   migrations before. No row is lost but task_hash.

set lock_timeout = '5s';

comment on column public.user_settings.preferences is
    'Settings of the front end; at most 64 KiB. Key headstart: {auto false, lead_hours 1 to 336 (48), '
    'excluded_course_ids, max_per_day 0 to 20 (5)}, for headstarts that start by themselves. Other keys are free.';

create function private.headstart_preferences_fault(p_preferences jsonb)
returns text
language sql
immutable
set search_path = ''
as $$
    select case
        when h is null then null
        when jsonb_typeof(h) <> 'object' then ' must be an object'
        when h - '{auto,lead_hours,excluded_course_ids,max_per_day}'::text[] <> '{}'
            then ' may only have the keys auto, lead_hours, excluded_course_ids and max_per_day'
        when h ? 'auto' and jsonb_typeof(h -> 'auto') <> 'boolean' then '.auto must be true or false'
        when h ? 'lead_hours'
            and not jsonb_path_exists(h, 'strict $.lead_hours ? (@ >= 1 && @ <= 336 && @.floor() == @)')
            then '.lead_hours must be a whole number from 1 to 336'
        when h ? 'max_per_day'
            and not jsonb_path_exists(h, 'strict $.max_per_day ? (@ >= 0 && @ <= 20 && @.floor() == @)')
            then '.max_per_day must be a whole number from 0 to 20'
        when not h ? 'excluded_course_ids' then null
        when jsonb_typeof(h -> 'excluded_course_ids') <> 'array' or jsonb_array_length(h -> 'excluded_course_ids') > 500
            or jsonb_array_length(h -> 'excluded_course_ids') <> jsonb_array_length(jsonb_path_query_array(
                h,
                'strict $.excluded_course_ids[*] ? (@ like_regex "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")'
            ))
            then '.excluded_course_ids must be a list of at most 500 ids of courses'
    end
    from (select p_preferences -> 'headstart' as h) as given;
$$;

comment on function private.headstart_preferences_fault(jsonb) is
    'What is wrong with preferences.headstart, as the end of a sentence; null when nothing is.';

create function private.check_preferences()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_fault constant text := private.headstart_preferences_fault(new.preferences);
begin
    if v_fault is not null then
        raise exception 'preferences.headstart%', v_fault using errcode = '23514';
    end if;
    return new;
end
$$;

comment on function private.check_preferences() is
    'BEFORE INSERT OR UPDATE on user_settings: raises 23514 for preferences.headstart that cannot be read.';

-- for the schedule that looks for what is due soon
create index idx_user_settings_automatic_headstarts on public.user_settings (user_id)
where (preferences -> 'headstart' -> 'auto') = 'true'::jsonb;

update public.user_settings set preferences = preferences - 'headstart'
where private.headstart_preferences_fault(preferences) is not null;

create trigger trg_user_settings_preferences before insert or update of preferences on public.user_settings
for each row execute function private.check_preferences();

alter table public.headstart_runs add column task_hash text;
comment on column public.headstart_runs.assignment_hash is 'Content hash of the assignment when the run was asked for.';
comment on column public.headstart_runs.task_hash is 'Hash of what is asked of the student, as the worker read it.';

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

create or replace function public.svc_start_headstart_run(
    p_user_id uuid,
    p_assignment_id uuid,
    p_trigger text,
    p_prompt_version text default null
)
returns table (run_id uuid, job_id uuid, created boolean)
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_assignment public.assignments;
    v_trigger public.headstart_trigger;
begin
    if p_user_id is null or p_assignment_id is null or p_trigger is null then
        raise exception 'p_user_id, p_assignment_id and p_trigger must not be null' using errcode = '22004';
    end if;
    if p_trigger <> all (enum_range(null::public.headstart_trigger)::text[]) then
        raise exception 'p_trigger must be one of %', array_to_string(enum_range(null::public.headstart_trigger), ', ')
            using errcode = '22023';
    end if;
    v_trigger := p_trigger::public.headstart_trigger;
    -- of two requests at once the second waits here and finds the run of the first
    select * into v_assignment from public.assignments
    where id = p_assignment_id and user_id = p_user_id for no key update;
    if not found then
        raise exception 'no assignment of this person has the id in p_assignment_id' using errcode = 'PT404';
    end if;
    if v_assignment.status = 'removed' then
        raise exception 'the assignment was removed from Canvas' using errcode = 'PT409',
            hint = 'Sync, then choose another assignment.';
    end if;

    created := false;
    select r.id into run_id from public.headstart_runs as r
    where r.assignment_id = p_assignment_id and r.status in ('queued', 'running');
    if not found and v_trigger <> 'manual' then
        select r.id into run_id from public.headstart_runs as r
        where r.assignment_id = p_assignment_id and r.trigger = v_trigger and r.trigger <> 'manual'
            and r.assignment_hash = v_assignment.content_hash and r.prompt_version = p_prompt_version;
        if found then
            -- it was written before, for the same reason and from the same text
            return next;
            return;
        end if;
    end if;
    if run_id is null then
        insert into public.headstart_runs (
            user_id, assignment_id, trigger, assignment_hash, task_hash, prompt_version, created_at
        )
        values (
            p_user_id, p_assignment_id, v_trigger, v_assignment.content_hash,
            private.task_hash(
                v_assignment.title, v_assignment.description_html, v_assignment.points_possible,
                v_assignment.submission_types, v_assignment.raw_payload
            ),
            p_prompt_version, private.clock()
        )
        returning id into run_id;
        created := true;
    end if;
    -- a joined run, too: enqueuing joins its live job, and replaces a job that was lost
    select j.job_id into job_id from public.svc_enqueue_job(
        p_type => 'headstart',
        p_payload => jsonb_build_object('run_id', run_id),
        p_user_id => p_user_id,
        p_dedupe_key => 'headstart:' || run_id,
        -- nobody waits for one that starts by itself
        p_priority => case when v_trigger = 'manual' then 0 else -10 end
    ) as j;
    return next;
end
$$;

comment on function public.svc_start_headstart_run(uuid, uuid, text, text) is
    'Starts a headstart for a person''s assignment and enqueues its job (type headstart, payload {run_id}). Joins a '
    'live run of the assignment (created false). For triggers other than manual, a run that already exists for the '
    'same content and p_prompt_version is returned without a job. PT404 for a missing assignment or another '
    'person''s, PT409 for a removed one, 22023 for an unknown trigger.';

create or replace function public.svc_begin_headstart_run(
    p_run_id uuid,
    p_model text,
    p_prompt_version text,
    p_prompt_hash text
)
returns table (status text, user_id uuid, assignment_id uuid, seq bigint, attempts int, text_released boolean)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_run public.headstart_runs;
    v_released boolean := false;
begin
    if p_run_id is null then
        raise exception 'p_run_id must not be null' using errcode = '22004';
    end if;
    perform pg_advisory_xact_lock(hashtextextended(p_run_id::text, 0));
    select * into v_run from public.headstart_runs where id = p_run_id for update;
    if not found then
        raise exception 'no run has the id in p_run_id' using errcode = 'PT404';
    end if;
    -- done, hidden or handed in since it started by itself, or written by another run with these prompts
    if v_run.status in ('queued', 'running') and v_run.trigger <> 'manual' and (
        not exists (select from public.v_open_assignments as o where o.id = v_run.assignment_id)
        or exists (
            select from public.headstart_runs as r
            where r.assignment_id = v_run.assignment_id and r.trigger = v_run.trigger and r.id <> p_run_id
                and r.assignment_hash = v_run.assignment_hash and r.prompt_version = p_prompt_version
        )
    ) then
        perform public.svc_end_headstart_run(
            p_run_id, v_run.seq, 'cancelled', null, 'cancelled: it is no longer needed', v_run.metrics
        );
        select * into v_run from public.headstart_runs where id = p_run_id;
    end if;
    if v_run.status in ('queued', 'running') then
        update public.headstart_runs
        set status = 'running', model = p_model, prompt_version = p_prompt_version, prompt_hash = p_prompt_hash,
            task_hash = (
                select private.task_hash(
                    a.title, a.description_html, a.points_possible, a.submission_types, a.raw_payload
                )
                from public.assignments as a where a.id = v_run.assignment_id
            )
        where id = p_run_id;
        -- the new number also stops a worker that held the run before: its writes name an older one
        perform public.svc_append_generation(
            p_run_id, v_run.seq + 1, array['{"type": "status", "status": "running"}'::jsonb]
        );
        select exists (
            select from private.generation_events as e
            where e.stream_id = p_run_id and e.part ->> 'type' = 'text-delta'
        ) into v_released;
        select * into v_run from public.headstart_runs where id = p_run_id;
    end if;
    return query select
        v_run.status::text, v_run.user_id, v_run.assignment_id, v_run.seq,
        coalesce((v_run.metrics ->> 'attempts')::int, 0), v_released;
end
$$;

comment on function public.svc_begin_headstart_run(uuid, text, text, text) is
    'A worker takes a run: it becomes running, and an event says so. Returns how many calls of the model were made '
    'before, and whether text was released already, which happens when an earlier worker died. A run that started by '
    'itself and is no longer needed ends as cancelled. A finished run does not change. PT404 when the run does not '
    'exist.';

-- The service only.

grant execute on function public.svc_start_automatic_headstart(uuid, uuid, text, text) to service_role;

grant execute on function public.svc_due_headstarts(text, int) to service_role;

-- What is due soon is looked for four times an hour. A time without workers is made up for by one look.

insert into private.job_schedules (name, cron, next_run_at, type)
values ('headstart_scan', '*/15 * * * *', private.cron_next('*/15 * * * *', 'UTC', now()), 'headstart_scan');
