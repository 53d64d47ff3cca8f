-- A week of a person's learning programme. Its owner writes it. Notes, sessions and metrics belong to it and are
-- deleted with it.

create table public.weeks (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null default private.caller_id(),
    week_number int not null,
    start_date date not null,
    end_date date not null,
    status public.week_status not null default 'planned',
    focus_area text,
    course_id uuid,
    estimated_hours int,
    actual_hours int,
    completion_percentage int not null default 0,
    are_hours_written boolean not null default false,
    reopened_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint weeks_user_id_fkey foreign key (user_id) references public.profiles(user_id) on delete cascade,
    constraint weeks_user_id_week_number_key unique (user_id, week_number),
    constraint weeks_id_user_id_key unique (id, user_id),
    -- the owner's own course, as it is now; a course that goes leaves the week
    constraint weeks_course_id_fkey
        foreign key (course_id, user_id) references public.courses(id, user_id) on delete set null (course_id),
    constraint weeks_week_number_check check (week_number >= 1),
    -- infinite days and years that clients cannot read
    constraint weeks_start_date_check check (start_date >= '0001-01-01'),
    constraint weeks_end_date_check check (end_date >= start_date and end_date <= '9999-12-31'),
    constraint weeks_focus_area_check check (char_length(focus_area) <= 2000),
    constraint weeks_estimated_hours_check check (estimated_hours >= 0),
    constraint weeks_actual_hours_check check (actual_hours >= 0),
    constraint weeks_completion_percentage_check check (completion_percentage between 0 and 100)
);

create index idx_weeks_course_id on public.weeks (course_id, user_id);
-- for the schedule that activates, completes and archives
create index idx_weeks_planned on public.weeks (start_date) where status = 'planned';
create index idx_weeks_active on public.weeks (end_date) where status = 'active';
create index idx_weeks_completed on public.weeks (end_date) where status = 'completed';

comment on table public.weeks is 'Weeks of a learning programme, numbered per person.';
comment on column public.weeks.id is 'Identity of the row.';
comment on column public.weeks.user_id is 'Whose programme.';
comment on column public.weeks.week_number is 'Number within the programme, from 1.';
comment on column public.weeks.start_date is 'First day.';
comment on column public.weeks.end_date is 'Last day, inclusive.';
comment on column public.weeks.status is 'Its state.';
comment on column public.weeks.focus_area is 'What the week is about.';
comment on column public.weeks.course_id is
    'The person''s Canvas course that the week is about, if any: its material goes into the week''s notes.';
comment on column public.weeks.estimated_hours is 'Hours planned.';
comment on column public.weeks.actual_hours is
    'Hours spent: those of completed study blocks, until the person writes another number.';
comment on column public.weeks.completion_percentage is 'How much is done, 0 to 100; measured.';
comment on column public.weeks.are_hours_written is
    'Whether actual_hours is the person''s own number; kept by trigger.';
comment on column public.weeks.reopened_at is 'When it last went from completed to active; kept by trigger.';
comment on column public.weeks.created_at is 'When the row was written.';
comment on column public.weeks.updated_at is 'When the row last changed; kept by trigger.';

create function private.note_written_hours()
returns trigger
language plpgsql
-- as the caller, whom it has to know
set search_path = ''
as $$
begin
    if current_user in ('authenticated', 'app_admin')
        and (tg_op = 'INSERT' or new.actual_hours is distinct from old.actual_hours)
    then
        new.are_hours_written := new.actual_hours is not null;
    end if;
    return new;
end
$$;

comment on function private.note_written_hours() is
    'BEFORE INSERT OR UPDATE OF actual_hours on weeks: a number from the person stays; null lets it be measured again.';

create function private.stamp_reopened_week()
returns trigger
language plpgsql
-- security definer, because the clock is in the schema private, on which learners have no usage
security definer
set search_path = ''
as $$
begin
    new.reopened_at := private.clock();
    return new;
end
$$;

comment on function private.stamp_reopened_week() is
    'BEFORE UPDATE OF status on weeks, from completed to active: notes when, so that the schedule waits a day.';

create trigger trg_weeks_columns before update on public.weeks
for each row execute function private.keep_columns(
    'week_number', 'start_date', 'end_date', 'status', 'focus_area', 'course_id', 'estimated_hours', 'actual_hours'
);
create trigger trg_weeks_hours before insert or update of actual_hours on public.weeks
for each row execute function private.note_written_hours();
create trigger trg_weeks_reopened before update of status on public.weeks
for each row when (old.status = 'completed' and new.status = 'active')
execute function private.stamp_reopened_week();
create trigger trg_weeks_status before insert or update of status on public.weeks
for each row execute function private.enforce_transition(
    'status', '>planned', '>active', 'planned>active', 'planned>archived', 'active>completed', 'active>archived',
    'completed>active', 'completed>archived'
);
create trigger trg_weeks_updated_at before update on public.weeks
for each row execute function public.set_updated_at();
