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
    'What a person still has to do: nothing handed in, excused, done (here or in Canvas''s to-do list) or hidden, and '
    'no course that is hidden, closed or over. Past due dates are included.';
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
comment on column public.v_open_assignments.module_name is 'Name of the module in which it stands; null: in none.';
comment on column public.v_open_assignments.module_position is 'Position of that module in its course.';
comment on column public.v_open_assignments.module_item_position is 'Its position in that module.';
