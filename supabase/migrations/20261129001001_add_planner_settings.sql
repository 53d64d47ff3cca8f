-- A person's word on their work: efforts (how long, done, hidden), hidden courses, when and how long they study. Courses
-- that a person had switched off become hidden ones, and is_active is sync's alone.
-- Touches: public.courses (column, trigger, comments), svc_apply_courses; new planner_settings, assignment_efforts and
--   v_open_assignments.
-- Undo: drop the view and both tables; set is_active to false where is_hidden, restore the trigger and svc_apply_courses,
--   drop the column. Efforts and settings are lost.

set lock_timeout = '5s';

alter table public.courses add column is_hidden boolean not null default false;
comment on column public.courses.is_active is
    'Whether Canvas has it; false once it was deleted there. Sync''s alone.';
comment on column public.courses.is_hidden is
    'Whether the person hides it: it is not synced, listed, planned or written for.';
update public.courses set is_hidden = true, is_active = true
where not is_active and workflow_state is distinct from 'deleted';

drop trigger trg_courses_columns on public.courses;
create trigger trg_courses_columns before update on public.courses
for each row execute function private.keep_columns('is_hidden');
comment on policy update_own on public.courses is 'People hide their own courses and show them again.';

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
            -- a course that comes back after its deletion is active again
            is_active = c.is_active or (c.workflow_state = 'deleted' and not excluded.access_restricted),
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

-- When and how long a person studies. Suggested blocks and the planner read it; without a row the defaults hold.

create table public.planner_settings (
    user_id uuid primary key default private.caller_id(),
    working_hours jsonb not null default '[]',
    block_minutes smallint not null default 50,
    break_minutes smallint not null default 10,
    max_minutes_per_day smallint not null default 240,
    buffer_hours smallint not null default 12,
    auto_replan boolean not null default false,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint planner_settings_user_id_fkey
        foreign key (user_id)
        references public.profiles(user_id) on delete cascade,
    constraint planner_settings_working_hours_check check (jsonb_typeof(working_hours) = 'array'),
    -- each entry must fulfil the condition; strict, so that a missing key does not
    constraint planner_settings_working_hours_entries_check check (
        jsonb_array_length(working_hours) <= 50
        and jsonb_array_length(working_hours) = jsonb_array_length(jsonb_path_query_array(
            working_hours,
            'strict $[*] ? (@.type() == "object" && @.weekday >= 1 && @.weekday <= 7'
            ' && @.weekday.floor() == @.weekday'
            ' && @.start like_regex "^([01][0-9]|2[0-3]):[0-5][0-9]$"'
            ' && @.end like_regex "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$" && @.start < @.end)'
        ))
    ),
    constraint planner_settings_block_minutes_check check (block_minutes between 25 and 120),
    constraint planner_settings_break_minutes_check check (break_minutes between 0 and 120),
    constraint planner_settings_max_minutes_per_day_check check (max_minutes_per_day between 25 and 1440),
    constraint planner_settings_buffer_hours_check check (buffer_hours between 0 and 336)
);

comment on table public.planner_settings is 'When and how long a person studies; without a row the defaults hold.';
comment on column public.planner_settings.user_id is 'Whose settings.';
comment on column public.planner_settings.working_hours is
    'List of {weekday 1 (Monday) to 7, start "HH:MM", end "HH:MM" up to "24:00"} in the person''s zone; empty: '
    'evenings.';
comment on column public.planner_settings.block_minutes is 'Length of a study block.';
comment on column public.planner_settings.break_minutes is 'Pause between two blocks.';
comment on column public.planner_settings.max_minutes_per_day is 'The most study time on one day of the person.';
comment on column public.planner_settings.buffer_hours is 'How long before the due time the work should be done.';
comment on column public.planner_settings.auto_replan is 'Whether the plan may be changed without asking.';
comment on column public.planner_settings.created_at is 'When the row was made.';
comment on column public.planner_settings.updated_at is 'When the row last changed.';

create trigger trg_planner_settings_columns before update on public.planner_settings
for each row execute function private.keep_columns(
    'working_hours', 'block_minutes', 'break_minutes', 'max_minutes_per_day', 'buffer_hours', 'auto_replan'
);
create trigger trg_planner_settings_updated_at before update on public.planner_settings
for each row execute function public.set_updated_at();

-- Own row only, not even for staff. People make it when they first change a setting.

alter table public.planner_settings enable row level security;

grant select, update,
insert (
    user_id, working_hours, block_minutes, break_minutes, max_minutes_per_day, buffer_hours, auto_replan
) on public.planner_settings to authenticated;
grant all on public.planner_settings to service_role;

create policy select_own on public.planner_settings for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.planner_settings is 'People read their own settings.';

create policy insert_own on public.planner_settings for insert to authenticated
with check (user_id = (select private.caller_id()));
comment on policy insert_own on public.planner_settings is 'People make their own settings.';

create policy update_own on public.planner_settings for update to authenticated
using (user_id = (select private.caller_id()))
with check (user_id = (select private.caller_id()));
comment on policy update_own on public.planner_settings is 'People change their own settings.';

create policy select_not_explained on public.planner_settings as restrictive for select to anon, authenticated
using (private.not_explained());
comment on policy select_not_explained on public.planner_settings is
    'Estimates of row counts depend on rows of others, so REST sessions get none.';

-- What a person says about an assignment: how long it takes, how much it matters, that it is done or hidden. Sync never
-- touches it, so it survives whatever Canvas does to the assignment short of deleting the person.

create table public.assignment_efforts (
    assignment_id uuid not null,
    user_id uuid not null default private.caller_id(),
    effort_minutes smallint,
    priority smallint not null default 0,
    is_excluded boolean not null default false,
    is_hidden boolean not null default false,
    done_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    -- not assignment_id alone: 23505 for another person's id would tell that they have a row
    constraint assignment_efforts_pkey primary key (assignment_id, user_id),
    constraint assignment_efforts_user_id_fkey
        foreign key (user_id)
        references public.profiles(user_id) on delete cascade,
    constraint assignment_efforts_assignment_id_fkey
        foreign key (assignment_id, user_id)
        references public.assignments(id, user_id) on delete cascade,
    constraint assignment_efforts_effort_minutes_check check (effort_minutes between 5 and 6000),
    constraint assignment_efforts_priority_check check (priority between -2 and 2),
    -- infinite times and years that clients cannot read
    constraint assignment_efforts_done_at_check
        check (done_at >= '0001-01-01 00:00:00+00' and done_at < '10000-01-01 00:00:00+00')
);

create index idx_assignment_efforts_user_id on public.assignment_efforts (user_id);

comment on table public.assignment_efforts is 'What a person says about an assignment of theirs.';
comment on column public.assignment_efforts.assignment_id is 'Which assignment.';
comment on column public.assignment_efforts.user_id is 'Whose word.';
comment on column public.assignment_efforts.effort_minutes is 'How long the whole assignment takes; null: unknown.';
comment on column public.assignment_efforts.priority is 'From -2 (can wait) to 2 (first).';
comment on column public.assignment_efforts.is_excluded is 'Whether the planner leaves it out; it stays in lists.';
comment on column public.assignment_efforts.is_hidden is 'Whether it is left out everywhere.';
comment on column public.assignment_efforts.done_at is
    'When the person marked it done, whatever Canvas says; null: not done.';
comment on column public.assignment_efforts.created_at is 'When the row was made.';
comment on column public.assignment_efforts.updated_at is 'When the row last changed.';

create trigger trg_assignment_efforts_columns before update on public.assignment_efforts
for each row execute function private.keep_columns(
    'effort_minutes', 'priority', 'is_excluded', 'is_hidden', 'done_at'
);
create trigger trg_assignment_efforts_updated_at before update on public.assignment_efforts
for each row execute function public.set_updated_at();

-- The one word for what a person still has to do: lists, counts and automatic headstarts read it.

create view public.v_open_assignments with (security_invoker = true) as
select
    a.id,
    a.user_id,
    a.course_id,
    c.name as course_name,
    a.title,
    a.due_at,
    a.points_possible,
    a.canvas_url,
    e.effort_minutes,
    coalesce(e.priority, 0::smallint) as priority,
    coalesce(e.is_excluded, false) as is_excluded
from public.assignments as a
join public.courses as c on c.id = a.course_id
left join public.assignment_efforts as e on e.assignment_id = a.id and e.user_id = a.user_id
where
    a.status = 'open'
    and a.submission -> 'excused' is distinct from 'true'
    and e.done_at is null
    and not coalesce(e.is_hidden, false)
    and not c.is_hidden
    and c.is_active
    and not c.access_restricted
    and coalesce(c.workflow_state, '') not in ('completed', 'deleted', 'unpublished');

comment on view public.v_open_assignments is
    'What a person still has to do: nothing handed in, excused, done or hidden, and no course that is hidden, closed '
    'or over. Past due dates are included.';
comment on column public.v_open_assignments.id is 'The assignment.';
comment on column public.v_open_assignments.user_id is 'Whose.';
comment on column public.v_open_assignments.course_id is 'Its course.';
comment on column public.v_open_assignments.course_name is 'Name of the course.';
comment on column public.v_open_assignments.title is 'Title.';
comment on column public.v_open_assignments.due_at is 'When it is due for this person.';
comment on column public.v_open_assignments.points_possible is 'The most points it can bring.';
comment on column public.v_open_assignments.canvas_url is 'Its page in Canvas.';
comment on column public.v_open_assignments.effort_minutes is 'How long it takes, as the person said.';
comment on column public.v_open_assignments.priority is 'From -2 to 2, as the person said; 0 without a word.';
comment on column public.v_open_assignments.is_excluded is 'Whether the planner leaves it out.';

-- Own rows only, not even for staff. The composite foreign key admits only the person's own assignments.

alter table public.assignment_efforts enable row level security;

grant select, update, delete,
insert (assignment_id, user_id, effort_minutes, priority, is_excluded, is_hidden, done_at)
on public.assignment_efforts to authenticated;
grant all on public.assignment_efforts to service_role;

create policy select_own on public.assignment_efforts for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.assignment_efforts is 'People read what they said.';

create policy insert_own on public.assignment_efforts for insert to authenticated
with check (user_id = (select private.caller_id()));
comment on policy insert_own on public.assignment_efforts is
    'People say it about their own assignments; the foreign key admits no others.';

create policy update_own on public.assignment_efforts for update to authenticated
using (user_id = (select private.caller_id()))
with check (user_id = (select private.caller_id()));
comment on policy update_own on public.assignment_efforts is 'People change what they said.';

create policy delete_own on public.assignment_efforts for delete to authenticated
using (user_id = (select private.caller_id()));
comment on policy delete_own on public.assignment_efforts is 'People take back what they said.';

-- Read with the reader's own rights.

grant select on public.v_open_assignments to authenticated, service_role;

create policy select_not_explained on public.assignment_efforts as restrictive for select to anon, authenticated
using (private.not_explained());
comment on policy select_not_explained on public.assignment_efforts is
    'Estimates of row counts depend on rows of others, so REST sessions get none.';
