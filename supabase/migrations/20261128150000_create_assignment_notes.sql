-- Canvas: what a description hides is kept for the leak guard alone, and a description that was cut says so.
-- Touches: new table private.assignment_notes, column public.assignments.is_description_cut, svc_apply_assignments,
-- svc_get_assignment_notes.
-- Undo: restore svc_apply_assignments, then drop svc_get_assignment_notes, the table and the column.
set lock_timeout = '5s';

alter table public.assignments add column is_description_cut boolean not null default false;
comment on column public.assignments.is_description_cut is
    'Whether the description goes on in Canvas: it was too long to be stored.';

-- Texts of a description that its author hid from readers: notes for teachers, model solutions. No person and no model
-- ever reads them. The leak guard compares with them what a model writes.

create table private.assignment_notes (
    assignment_id uuid primary key,
    notes text not null,
    constraint assignment_notes_assignment_id_fkey
        foreign key (assignment_id)
        references public.assignments(id) on delete cascade,
    constraint assignment_notes_notes_check check (char_length(notes) between 1 and 100000)
);

comment on table private.assignment_notes is 'What a description hides from its readers, for the leak guard alone.';
comment on column private.assignment_notes.assignment_id is 'In whose description.';
comment on column private.assignment_notes.notes is 'The hidden texts.';

create function public.svc_get_assignment_notes(p_assignment_id uuid)
returns text
language sql
stable
security definer
set search_path = ''
as $$
    select n.notes from private.assignment_notes as n where n.assignment_id = p_assignment_id;
$$;

comment on function public.svc_get_assignment_notes(uuid) is
    'The hidden texts of a description, or null. Compare with them; never show them and never send them to a model.';

create or replace function public.svc_apply_assignments(p_course_id uuid, p_assignments jsonb, p_cursor jsonb)
returns table (seen int, inserted int, updated int, unchanged int, restored int)
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_user_id uuid;
begin
    select c.user_id into v_user_id from public.courses as c where c.id = p_course_id;
    if not found then
        raise exception 'no course has the id in p_course_id' using errcode = 'PT404';
    end if;
    if jsonb_typeof(p_assignments) is distinct from 'array' then
        raise exception 'p_assignments must be a JSON array' using errcode = '22023';
    end if;
    return query
    with given as (
        select g.*
        from jsonb_to_recordset(p_assignments) as g (
            canvas_assignment_id bigint, title text, description_html text, due_at timestamptz, unlock_at timestamptz,
            lock_at timestamptz, points_possible numeric, submission_types text[], position int, canvas_url text,
            published_at timestamptz, status public.assignment_status, submission jsonb, raw_payload jsonb,
            content_hash text, html_hash text, hidden_notes text, is_description_cut boolean
        )
    ),
    known as (
        select g.*,
            case
                when a.id is null then 'inserted'
                when a.status = 'removed' then 'restored'
                when a.content_hash is distinct from g.content_hash then 'updated'
                else 'unchanged'
            end as outcome
        from given as g
        left join public.assignments as a
            on a.course_id = p_course_id and a.canvas_assignment_id = g.canvas_assignment_id
    ),
    written as (
        insert into public.assignments as a (
            user_id, course_id, canvas_assignment_id, title, description_html, due_at, unlock_at, lock_at,
            points_possible, submission_types, position, canvas_url, published_at, status, submission, raw_payload,
            content_hash, html_hash, is_description_cut, last_synced_at
        )
        select
            v_user_id, p_course_id, k.canvas_assignment_id, k.title, k.description_html,
            k.due_at, k.unlock_at, k.lock_at,
            k.points_possible, coalesce(k.submission_types, '{}'), k.position, k.canvas_url, k.published_at, k.status,
            nullif(k.submission, 'null'), coalesce(k.raw_payload, '{}'), k.content_hash, k.html_hash,
            coalesce(k.is_description_cut, false), private.clock()
        from known as k
        where k.outcome <> 'unchanged'
        order by k.canvas_assignment_id
        on conflict on constraint assignments_course_id_canvas_assignment_id_key do update
        set title = excluded.title,
            description_html = excluded.description_html,
            due_at = excluded.due_at,
            unlock_at = excluded.unlock_at,
            lock_at = excluded.lock_at,
            points_possible = excluded.points_possible,
            submission_types = excluded.submission_types,
            position = excluded.position,
            canvas_url = excluded.canvas_url,
            published_at = coalesce(excluded.published_at, a.published_at),
            status = excluded.status,
            submission = excluded.submission,
            raw_payload = excluded.raw_payload,
            content_hash = excluded.content_hash,
            html_hash = excluded.html_hash,
            is_description_cut = excluded.is_description_cut,
            last_synced_at = excluded.last_synced_at
        returning a.id, a.canvas_assignment_id
    ),
    noted as (
        insert into private.assignment_notes as n (assignment_id, notes)
        select w.id, k.hidden_notes
        from written as w
        join known as k on k.canvas_assignment_id = w.canvas_assignment_id
        where k.hidden_notes is not null
        on conflict on constraint assignment_notes_pkey do update set notes = excluded.notes
        returning n.assignment_id
    ),
    forgotten as (
        delete from private.assignment_notes as n
        using written as w
        join known as k on k.canvas_assignment_id = w.canvas_assignment_id
        where n.assignment_id = w.id and k.hidden_notes is null
        returning n.assignment_id
    ),
    cursor_kept as (
        insert into public.course_sync_state as s (user_id, course_id, cursor, last_polled_at)
        values (v_user_id, p_course_id, p_cursor, private.clock())
        on conflict on constraint course_sync_state_course_id_key do update
        set cursor = excluded.cursor, last_polled_at = excluded.last_polled_at
        returning s.id
    )
    select
        count(*)::int,
        (count(*) filter (where k.outcome = 'inserted'))::int,
        (count(*) filter (where k.outcome = 'updated'))::int,
        (count(*) filter (where k.outcome = 'unchanged'))::int,
        (count(*) filter (where k.outcome = 'restored'))::int
    from known as k;
end
$$;

comment on function public.svc_apply_assignments(uuid, jsonb, jsonb) is
    'Stores the assignments of one page, each once, with the table''s columns and hidden_notes as keys, and the '
    'cursor with them. Rows with an unchanged hash are not touched. A removed one that reappears is restored with the '
    'same id. Returns the counts. PT404 when the course does not exist.';

-- Private: sync writes them, and only the leak guard reads them.

alter table private.assignment_notes enable row level security;

create policy nobody on private.assignment_notes to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.assignment_notes is
    'Closed on purpose: only the service''s definer functions use it.';

grant execute on function public.svc_get_assignment_notes(uuid) to service_role;
