-- A week may be linked to a course of its learner, whose work and material go into the week's notes.
-- Touches: 70_programme. Undo: drop the function and the column, and restore trg_weeks_columns of the migrations before.

set lock_timeout = '5s';

alter table public.weeks add column course_id uuid;
alter table public.weeks add constraint weeks_course_id_fkey
foreign key (course_id, user_id) references public.courses(id, user_id) on delete set null (course_id);
create index idx_weeks_course_id on public.weeks (course_id, user_id);
comment on column public.weeks.course_id is
    'The person''s Canvas course that the week is about, if any: its material goes into the week''s notes.';
grant insert (course_id) on public.weeks to authenticated;
comment on policy insert_own on public.weeks is
    'Learners plan their own weeks; the foreign key admits only their own courses.';

drop trigger trg_weeks_columns on public.weeks;
create trigger trg_weeks_columns before update on public.weeks
for each row execute function private.keep_columns(
    'week_number', 'start_date', 'end_date', 'status', 'focus_area', 'course_id', 'estimated_hours', 'actual_hours'
);

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

grant execute on function public.svc_get_week_material(uuid, uuid) to service_role;
