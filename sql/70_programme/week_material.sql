-- What the notes on a week may use of the course that it is linked to.

create function public.svc_get_week_material(p_week_id uuid, p_user_id uuid)
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    if num_nulls(p_week_id, p_user_id) > 0 then
        raise exception 'p_week_id and p_user_id must not be null' using errcode = '22004';
    end if;
    return (
        select jsonb_build_object(
            'course', jsonb_build_object('id', c.id, 'name', c.name, 'catalog_course_id', c.catalog_course_id),
            'assignments', (
                select coalesce(jsonb_agg(to_jsonb(d) - 'due_at' order by d.due_at, d.id), '[]')
                from (
                    select
                        a.id, a.title, a.due_at, a.points_possible, a.description_html,
                        private.local_text(a.due_at, p.timezone) as due_text
                    from public.assignments as a
                    where a.course_id = c.id and a.user_id = w.user_id and a.status <> 'removed'
                        and a.due_at <@ private.week_bounds(w)
                        and not exists (
                            select from public.assignment_efforts as e
                            where e.assignment_id = a.id and e.user_id = a.user_id and e.is_hidden
                        )
                    order by a.due_at, a.id
                    limit 20
                ) as d
            )
        )
        from public.weeks as w
        join public.courses as c on c.id = w.course_id and c.user_id = w.user_id
        join public.profiles as p on p.user_id = w.user_id
        where w.id = p_week_id and w.user_id = p_user_id
            -- what its person does not want to see, or may not
            and not c.is_hidden and not c.access_restricted
            and coalesce(c.workflow_state, '') not in ('deleted', 'unpublished')
    );
end
$$;

comment on function public.svc_get_week_material(uuid, uuid) is
    'The course that a person''s week is linked to, and at most 20 of its assignments that are due in the week, by '
    'the person''s days. Null without a course, and for one that they hide or may not see. Removed and hidden '
    'assignments are left out.';
