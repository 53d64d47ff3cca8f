-- Assignments know their place in the modules of Canvas and what was ticked off in its to-do list.
-- Touches: columns of public.assignments, public.v_open_assignments, private.part_from_canvas_person(), new functions
-- private.canvas_items(), svc_apply_modules() and svc_apply_todo().
-- Undo: drop the new functions, restore the view and private.part_from_canvas_person() of the migrations before, drop the
-- columns.

set lock_timeout = '5s';

alter table public.assignments
add column canvas_module_id text,
add column module_name text,
add column module_position int,
add column module_item_position int,
add column is_done_in_canvas boolean not null default false,
add constraint assignments_module_check check (
    num_nulls(canvas_module_id, module_name, module_position, module_item_position) in (0, 4)
);

comment on column public.assignments.canvas_module_id is
    'Id in Canvas of the module in which it stands, as text; of several modules, the first. Null: in none, or unknown.';
comment on column public.assignments.module_name is 'Name of that module.';
comment on column public.assignments.module_position is
    'Position of that module in its course. Order by it, then by module_item_position, to list as Canvas does.';
comment on column public.assignments.module_item_position is 'Its position in that module.';
comment on column public.assignments.is_done_in_canvas is
    'Whether the person marked it complete in the to-do list of Canvas. What they say here is in assignment_efforts.';

comment on column public.lms_connections.settings is
    'Settings of this installation, readable by its users. allow_personal_tokens: whether people may connect with an '
    'access token that they made in Canvas. panopto_hosts: where its lectures are. reads: what its developer key allows '
    'besides the needed scopes, a list of modules and todo.';

create or replace function private.part_from_canvas_person(p_integration_id uuid, p_external_user_id text)
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

create function private.canvas_items(p_assignment public.assignments)
returns text[]
language sql
immutable
set search_path = ''
as $$
    select array_remove(
        array[
            'assignment:' || p_assignment.canvas_id,
            'quiz:' || (p_assignment.raw_payload ->> 'quiz_id'),
            'discussion:' || (p_assignment.raw_payload ->> 'discussion_topic_id')
        ],
        null
    );
$$;

comment on function private.canvas_items(public.assignments) is
    'How lists of Canvas name an assignment: kind and id. A quiz or a discussion that is graded is named as such.';

create function public.svc_apply_modules(p_course_id uuid, p_items jsonb)
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_written int;
begin
    if not exists (select from public.courses where id = p_course_id) then
        raise exception 'no course has the id in p_course_id' using errcode = 'PT404';
    end if;
    if jsonb_typeof(p_items) is distinct from 'array' then
        raise exception 'p_items must be a JSON array' using errcode = '22023';
    end if;
    with given as (
        select g.*
        from jsonb_to_recordset(p_items) as g (
            item text, canvas_module_id text, module_name text, module_position int, module_item_position int
        )
    ),
    placed as (
        select distinct on (k.id)
            k.id, g.canvas_module_id, g.module_name, g.module_position, g.module_item_position
        from (
            select a.id, unnest(private.canvas_items(a)) as item
            from public.assignments as a where a.course_id = p_course_id and a.status <> 'removed'
        ) as k
        left join given as g on g.item = k.item
        order by k.id, g.module_position, g.module_item_position, g.canvas_module_id
    ),
    changed as (
        select p.*
        from public.assignments as a
        join placed as p on p.id = a.id
        where (a.canvas_module_id, a.module_name, a.module_position, a.module_item_position)
            is distinct from (p.canvas_module_id, p.module_name, p.module_position, p.module_item_position)
        order by a.id
        for no key update of a
    ),
    written as (
        update public.assignments as a
        set canvas_module_id = c.canvas_module_id,
            module_name = c.module_name,
            module_position = c.module_position,
            module_item_position = c.module_item_position
        from changed as c where a.id = c.id
        returning a.id
    )
    select count(*) into v_written from written;
    return v_written;
end
$$;

comment on function public.svc_apply_modules(uuid, jsonb) is
    'Stores where a course''s assignments stand, after a complete list of its modules: [{item, canvas_module_id, '
    'module_name, module_position, module_item_position}], item as in private.canvas_items. Of several positions the '
    'first counts; what is in no module gets null. Removed ones keep theirs. Returns how many rows changed. PT404 when '
    'the course does not exist.';

create function public.svc_apply_todo(p_integration_id uuid, p_done text[])
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_written int;
begin
    if num_nulls(p_integration_id, p_done) > 0 then
        raise exception 'p_integration_id and p_done must not be null' using errcode = '22004';
    end if;
    with changed as (
        select a.id
        from public.assignments as a
        join public.courses as c on c.id = a.course_id
        where c.integration_id = p_integration_id
            and a.is_done_in_canvas <> (private.canvas_items(a) && p_done)
        order by a.id
        for no key update of a
    ),
    written as (
        update public.assignments as a
        set is_done_in_canvas = not a.is_done_in_canvas
        from changed as c where a.id = c.id
        returning a.id
    )
    select count(*) into v_written from written;
    return v_written;
end
$$;

comment on function public.svc_apply_todo(uuid, text[]) is
    'Stores what an integration''s owner marked complete in Canvas, after a complete list of it: items as in '
    'private.canvas_items. Everything else of the integration is not marked. assignment_efforts is the person''s own '
    'word and stays. Returns how many rows changed.';

grant execute on function public.svc_apply_modules(uuid, jsonb) to service_role;

grant execute on function public.svc_apply_todo(uuid, text[]) to service_role;

create or replace view public.v_open_assignments with (security_invoker = true) as
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
    coalesce(e.is_excluded, false) as is_excluded,
    a.module_name,
    a.module_position,
    a.module_item_position
from public.assignments as a
join public.courses as c on c.id = a.course_id
left join public.assignment_efforts as e on e.assignment_id = a.id and e.user_id = a.user_id
where
    a.status = 'open'
    and a.submission -> 'excused' is distinct from 'true'
    and e.done_at is null
    and not a.is_done_in_canvas
    and not coalesce(e.is_hidden, false)
    and not c.is_hidden
    and c.is_active
    and not c.access_restricted
    and coalesce(c.workflow_state, '') not in ('completed', 'deleted', 'unpublished');

comment on view public.v_open_assignments is
    'What a person still has to do: nothing handed in, excused, done (here or in Canvas''s to-do list) or hidden, and no '
    'course that is hidden, closed or over. Past due dates are included.';
comment on column public.v_open_assignments.module_name is 'Name of the module in which it stands; null: in none.';
comment on column public.v_open_assignments.module_position is 'Position of that module in its course.';
comment on column public.v_open_assignments.module_item_position is 'Its position in that module.';
