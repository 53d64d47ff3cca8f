-- An assignment of a person's Canvas course, with that person's own submission state. Sync writes it, with sanitised
-- HTML. What Canvas deleted is marked removed, and only after a complete listing without it was confirmed.

create table public.assignments (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null,
    course_id uuid not null,
    canvas_assignment_id bigint not null,
    canvas_id text not null,
    title text not null,
    description_html text,
    is_description_cut boolean not null default false,
    due_at timestamptz,
    unlock_at timestamptz,
    lock_at timestamptz,
    points_possible numeric,
    submission_types text[] not null default '{}',
    position int,
    canvas_module_id text,
    module_name text,
    module_position int,
    module_item_position int,
    is_done_in_canvas boolean not null default false,
    canvas_url text,
    published_at timestamptz,
    status public.assignment_status not null default 'open',
    is_unpublished boolean not null default false,
    submission jsonb,
    raw_payload jsonb not null default '{}',
    content_hash text,
    html_hash text,
    last_synced_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint assignments_canvas_id_check check (canvas_id = canvas_assignment_id::text),
    constraint assignments_course_id_canvas_assignment_id_key unique (course_id, canvas_assignment_id),
    constraint assignments_id_user_id_key unique (id, user_id),
    constraint assignments_user_id_fkey
        foreign key (user_id)
        references public.profiles(user_id) on delete cascade,
    constraint assignments_course_id_fkey
        foreign key (course_id, user_id)
        references public.courses(id, user_id) on delete cascade,
    constraint assignments_module_check check (
        num_nulls(canvas_module_id, module_name, module_position, module_item_position) in (0, 4)
    ),
    constraint assignments_is_unpublished_check check (not is_unpublished or status = 'removed'),
    constraint assignments_points_possible_check check (points_possible >= 0),
    constraint assignments_submission_check check (jsonb_typeof(submission) = 'object'),
    constraint assignments_raw_payload_check check (jsonb_typeof(raw_payload) = 'object')
);

-- for a person's calendar
create index idx_assignments_user_id on public.assignments (user_id, due_at);
-- for the automatic headstarts: what is due soon
create index idx_assignments_due_at on public.assignments (due_at) where status = 'open';
create index idx_assignments_course_id on public.assignments (course_id, user_id);

comment on table public.assignments is 'An assignment of a person''s Canvas course.';
comment on column public.assignments.id is 'Key.';
comment on column public.assignments.user_id is 'Whose assignment.';
comment on column public.assignments.course_id is 'In which course of that person.';
comment on column public.assignments.canvas_assignment_id is
    'Id in Canvas. It may exceed 2^53: JavaScript reads canvas_id.';
comment on column public.assignments.canvas_id is
    'The same id as text, kept equal: JavaScript rounds numbers past 2^53.';
comment on column public.assignments.title is 'Title.';
comment on column public.assignments.description_html is
    'The task, sanitised; null while Canvas locks it for the person.';
comment on column public.assignments.is_description_cut is
    'Whether the description goes on in Canvas: it was too long to be stored.';
comment on column public.assignments.due_at is 'When it is due for this person.';
comment on column public.assignments.unlock_at is 'When it opens for this person.';
comment on column public.assignments.lock_at is 'When it closes for this person.';
comment on column public.assignments.points_possible is 'The most points it can bring.';
comment on column public.assignments.submission_types is 'How it can be handed in, as Canvas names it.';
comment on column public.assignments.position is 'Its position within its group.';
comment on column public.assignments.canvas_module_id is
    'Id in Canvas of the module in which it stands, as text; of several modules, the first. Null: in none, or unknown.';
comment on column public.assignments.module_name is 'Name of that module.';
comment on column public.assignments.module_position is
    'Position of that module in its course. Order by it, then by module_item_position, to list as Canvas does.';
comment on column public.assignments.module_item_position is 'Its position in that module.';
comment on column public.assignments.is_done_in_canvas is
    'Whether the person marked it complete in the to-do list of Canvas. What they say here is in assignment_efforts.';
comment on column public.assignments.canvas_url is 'Its page in Canvas.';
comment on column public.assignments.published_at is 'When the teacher published it, where Canvas says so.';
comment on column public.assignments.status is 'Its state for this person; follows Canvas.';
comment on column public.assignments.is_unpublished is
    'Removed because the teacher withdrew it: it still exists in Canvas, and returns with the same id when it is '
    'published again. Learners are not told why an assignment left, so this is known to its teachers only.';
comment on column public.assignments.submission is
    'The person''s own submission: workflow_state, submitted_at, score, late, missing, excused; null where there is '
    'none.';
comment on column public.assignments.raw_payload is
    'What Canvas sent, without other people''s records and signed parts; numbers past 2^53 as text.';
comment on column public.assignments.content_hash is
    'Hash of the fields that count as content; sync skips an equal one.';
comment on column public.assignments.html_hash is 'Hash of the sanitised description; changes when the task changes.';
comment on column public.assignments.last_synced_at is 'When sync last wrote the row.';
comment on column public.assignments.created_at is 'When sync first saw it.';
comment on column public.assignments.updated_at is 'When the row last changed.';

create trigger trg_assignments_exact before insert or update of raw_payload on public.assignments
for each row when (jsonb_path_exists(new.raw_payload, 'strict $.** ? (@ > 9007199254740991 || @ < -9007199254740991)'))
execute function private.keep_exact_numbers('raw_payload');
create trigger trg_assignments_text_id before insert or update of canvas_assignment_id, canvas_id on public.assignments
for each row execute function private.keep_canvas_id('canvas_assignment_id');
create trigger trg_assignments_updated_at before update on public.assignments
for each row execute function public.set_updated_at();

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
