-- Canvas sync reads courses at the same time, writes the pages of many courses in one call, and goes on where it was killed.
-- Touches: 20_canvas. Undo: drop both functions. No row is lost; a cursor of the new form is not used by older functions.

set lock_timeout = '5s';

create function public.svc_get_sync_cursors(p_integration_id uuid, p_run text)
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    if num_nulls(p_integration_id, p_run) > 0 then
        raise exception 'p_integration_id and p_run must not be null' using errcode = '22004';
    end if;
    return (
        select coalesce(jsonb_object_agg(s.course_id, s.cursor), '{}')
        from public.course_sync_state as s
        join public.courses as c on c.id = s.course_id
        where c.integration_id = p_integration_id
            and s.cursor ->> 'run' = p_run
            and s.cursor ? 'open'
            -- later, Canvas's links may have expired and the first pages are old
            and s.last_polled_at > private.clock() - interval '15 minutes'
    );
end
$$;

comment on function public.svc_get_sync_cursors(uuid, text) is
    'The cursors that this run left behind in the last 15 minutes, by course id; empty for a new run.';

create function public.svc_apply_assignment_pages(p_pages jsonb)
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_page jsonb;
    v_course_id uuid;
    v_counts record;
    v_shown bigint[];
    v_hidden bigint[];
    v_gone bigint[];
    v_missing bigint[];
    v_unseen bigint[];
    v_removed int;
    v_is_finished boolean;
    v_answers jsonb := '[]';
begin
    if jsonb_typeof(p_pages) is distinct from 'array' then
        raise exception 'p_pages must be a JSON array' using errcode = '22023';
    end if;
    for v_page in select p.value from jsonb_array_elements(p_pages) with ordinality as p order by p.ordinality loop
        v_course_id := (v_page ->> 'course_id')::uuid;
        v_removed := 0;
        v_unseen := '{}';
        v_is_finished := false;
        -- a row that the database refuses fails its course and no other
        begin
            select * into strict v_counts
            from public.svc_apply_assignments(v_course_id, v_page -> 'assignments', v_page -> 'cursor');
            if v_page ? 'shown' then
                v_shown := array(select jsonb_array_elements_text(v_page -> 'shown')::bigint);
                v_hidden := array(select jsonb_array_elements_text(v_page -> 'hidden')::bigint);
                v_gone := array(select jsonb_array_elements_text(coalesce(v_page -> 'gone', '[]'))::bigint);
                v_missing := public.svc_missing_assignments(v_course_id, v_shown);
                v_unseen := array(select m from unnest(v_missing) as m where m <> all (v_hidden || v_gone) order by m);
                v_is_finished := cardinality(v_unseen) = 0 or v_page ? 'gone';
                if v_is_finished then
                    v_unseen := '{}';
                    v_removed := public.svc_finish_assignments(
                        p_course_id => v_course_id,
                        p_gone => array(
                            select m from unnest(v_missing) as m where m = any (v_gone) and m <> all (v_hidden)
                        ),
                        p_cursor => v_page -> 'finished',
                        p_unpublished => v_hidden
                    );
                end if;
            end if;
            v_answers := v_answers || jsonb_build_array(
                to_jsonb(v_counts) || jsonb_build_object(
                    'removed', v_removed, 'unseen', to_jsonb(v_unseen), 'is_finished', v_is_finished
                )
            );
        exception
            when data_exception or integrity_constraint_violation then
                v_answers := v_answers || jsonb_build_array(jsonb_build_object('error', 'canvas_bad_answer'));
            when sqlstate 'PT404' then
                v_answers := v_answers || jsonb_build_array(jsonb_build_object('error', 'course_gone'));
        end;
    end loop;
    return v_answers;
end
$$;

comment on function public.svc_apply_assignment_pages(jsonb) is
    'Stores what was read of several courses: [{course_id, assignments, cursor}], see svc_apply_assignments. When a '
    'list is complete, shown and hidden name its ids, finished is its last cursor, and gone what a second look found. '
    'Hidden ones become removed as unpublished, and missing ones that are gone; others are returned as unseen, to be '
    'looked at again. '
    'Returns, in the same order, the counts with removed, unseen and is_finished, or error for a course that failed.';

comment on column public.course_sync_state.cursor is
    'Keys run, listing, open (addresses of pages still to be read), seen (how many rows), complete_at; until then also '
    'shown and hidden (Canvas ids).';

grant execute on function public.svc_get_sync_cursors(uuid, text)
to service_role;

grant execute on function public.svc_apply_assignment_pages(jsonb)
to service_role;
