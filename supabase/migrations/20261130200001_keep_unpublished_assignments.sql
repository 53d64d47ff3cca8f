-- An assignment that its teacher unpublished is hidden, not deleted: its row says so and returns with its history.
-- Touches: 20_canvas. Undo: drop the column, its trigger and svc_finish_assignments, and create the earlier functions again.

set lock_timeout = '5s';

alter table public.assignments
    add column is_unpublished boolean not null default false,
    add constraint assignments_is_unpublished_check check (not is_unpublished or status = 'removed');
comment on column public.assignments.is_unpublished is
    'Removed because the teacher withdrew it: it still exists in Canvas, and returns with the same id when it is '
    'published again. Learners are not told why an assignment left, so this is known to its teachers only.';

create function private.clear_unpublished()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new.is_unpublished := false;
    return new;
end
$$;

comment on function private.clear_unpublished() is
    'BEFORE UPDATE OF status on assignments: one that is shown again is no longer unpublished.';

create trigger trg_assignments_unpublished before update of status on public.assignments
for each row when (new.status <> 'removed') execute function private.clear_unpublished();

create or replace function public.svc_missing_assignments(p_course_id uuid, p_seen bigint[])
returns bigint[]
language sql
stable
security definer
set search_path = ''
as $$
    select coalesce(array_agg(canvas_assignment_id order by canvas_assignment_id), '{}')
    from public.assignments
    where course_id = p_course_id and (status <> 'removed' or is_unpublished)
        and canvas_assignment_id <> all (p_seen);
$$;

comment on function public.svc_missing_assignments(uuid, bigint[]) is
    'Canvas ids of stored assignments that Canvas still has, as far as we know, and that were not in a complete list '
    'of published ones.';

drop function public.svc_finish_assignments(uuid, bigint[], jsonb);

create function public.svc_finish_assignments(
    p_course_id uuid,
    p_gone bigint[],
    p_cursor jsonb,
    p_unpublished bigint[] default '{}'
)
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_removed int;
begin
    with left_out as (
        select a.id, a.status <> 'removed' as is_new, a.canvas_assignment_id = any (p_unpublished) as is_unpublished
        from public.assignments as a
        where a.course_id = p_course_id and a.canvas_assignment_id = any (p_gone || p_unpublished)
            and (a.status <> 'removed' or a.is_unpublished <> (a.canvas_assignment_id = any (p_unpublished)))
        order by a.id
        for no key update
    ),
    written as (
        update public.assignments as a
        set status = 'removed', is_unpublished = l.is_unpublished, last_synced_at = private.clock()
        from left_out as l where a.id = l.id
    )
    select count(*) filter (where l.is_new) into v_removed from left_out as l;
    insert into public.course_sync_state as s (user_id, course_id, cursor, last_polled_at)
    select c.user_id, c.id, p_cursor, private.clock() from public.courses as c where c.id = p_course_id
    on conflict on constraint course_sync_state_course_id_key do update
    set cursor = excluded.cursor, last_polled_at = excluded.last_polled_at;
    return v_removed;
end
$$;

comment on function public.svc_finish_assignments(uuid, bigint[], jsonb, bigint[]) is
    'Ends a complete list: assignments that are confirmed gone (p_gone) or unpublished become removed, their rows stay, '
    'and the cursor records it. Only unpublished ones carry is_unpublished. Returns how many became removed. Safe to '
    'repeat.';

grant execute on function public.svc_finish_assignments(uuid, bigint[], jsonb, bigint[])
to service_role;
