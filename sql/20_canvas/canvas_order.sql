-- Where assignments stand in the modules of their course, and what the person ticked off in Canvas's to-do list. Both
-- come from lists of their own (modules.py, todo.py of canvas-sync) and are no part of a row's content_hash. Only a
-- complete list is stored, and only rows that it changes are written.

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
            module_item_position = c.module_item_position,
            last_synced_at = private.clock()
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
    'first counts; what is in no module gets null. Removed ones keep theirs. Returns how many rows changed. PT404 '
    'when the course does not exist.';

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
        set is_done_in_canvas = not a.is_done_in_canvas, last_synced_at = private.clock()
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
