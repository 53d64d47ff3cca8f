-- What a student wants to achieve. The student or a tutor sets it; the service writes progress (percentage, streak,
-- xp).

create table public.goals (
    id uuid primary key default gen_random_uuid(),
    student_id uuid not null default private.caller_id(),
    created_by uuid default private.caller_id(),
    subject_id uuid,
    goal_type text,
    title text not null,
    description text,
    target_completion_date date,
    target_count int,
    target_kind public.goal_target,
    status public.goal_status not null default 'active',
    completion_percentage numeric(5, 2) not null default 0,
    current_streak int not null default 0,
    xp_earned int not null default 0,
    completed_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint goals_student_id_fkey foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint goals_created_by_fkey foreign key (created_by) references public.profiles(user_id) on delete set null,
    constraint goals_subject_id_fkey foreign key (subject_id) references public.subjects(id) on delete restrict,
    constraint goals_goal_type_check check (char_length(goal_type) <= 200),
    constraint goals_title_check check (char_length(title) between 1 and 500),
    constraint goals_description_check check (char_length(description) <= 10000),
    -- infinite days and years that clients cannot read
    constraint goals_target_completion_date_check
        check (target_completion_date between '0001-01-01' and '9999-12-31'),
    constraint goals_target_count_check check (target_count between 1 and 1000000),
    constraint goals_target_kind_check check ((target_kind is null) = (target_count is null)),
    constraint goals_completion_percentage_check check (completion_percentage between 0 and 100),
    constraint goals_current_streak_check check (current_streak >= 0),
    constraint goals_xp_earned_check check (xp_earned >= 0),
    constraint goals_completed_at_check check ((status = 'completed') = (completed_at is not null))
);

create index idx_goals_student on public.goals (student_id, status);
-- for goals that are due
create index idx_goals_status on public.goals (status, target_completion_date);
-- the newest of everybody, for staff
create index idx_goals_created on public.goals (created_at);
create index idx_goals_subject on public.goals (subject_id);
create index idx_goals_created_by on public.goals (created_by);

-- Finds a caller's rows by student, also where they are asked for by date
-- (docs/decisions/0013-one-list-of-students.md).
alter table public.goals alter column student_id set (n_distinct = -0.1);

comment on table public.goals is 'Goals of students.';
comment on column public.goals.id is 'Identity of the row.';
comment on column public.goals.student_id is 'The student.';
comment on column public.goals.created_by is 'Who set it: the student or a tutor; null when that account is deleted.';
comment on column public.goals.subject_id is 'The subject; null for a goal across subjects.';
comment on column public.goals.goal_type is 'The kind of goal; any text.';
comment on column public.goals.title is 'The goal in a few words.';
comment on column public.goals.description is 'The goal at length.';
comment on column public.goals.target_completion_date is 'The day by which to achieve it.';
comment on column public.goals.target_count is
    'How much to do; completion_percentage then follows from the work. Null: progress is set by hand.';
comment on column public.goals.target_kind is 'What target_count counts.';
comment on column public.goals.status is 'Its state.';
comment on column public.goals.completion_percentage is 'How much is achieved, 0 to 100.';
comment on column public.goals.current_streak is
    'Consecutive days of work on it, as the last answer wrote it; v_student_progress computes that of now.';
comment on column public.goals.xp_earned is 'Points earned by it: the sum of its rows in private.xp_events.';
comment on column public.goals.completed_at is 'When it was completed; kept by trigger, cleared when reopened.';
comment on column public.goals.created_at is 'When the row was written.';
comment on column public.goals.updated_at is 'When the row last changed; kept by trigger.';

create function private.stamp_goal()
returns trigger
language plpgsql
-- security definer, because the clock is in the schema private, on which students have no usage
security definer
set search_path = ''
as $$
begin
    new.completed_at := case when new.status = 'completed' then private.clock() end;
    return new;
end
$$;

comment on function private.stamp_goal() is
    'BEFORE a change of status on goals: sets completed_at when the goal becomes completed, clears it afterwards.';

create trigger trg_goals_columns before update on public.goals
for each row execute function private.keep_columns(
    'subject_id', 'goal_type', 'title', 'description', 'target_completion_date', 'target_count', 'target_kind', 'status'
);
create trigger trg_goals_stamp before update of status on public.goals
for each row when (old.status is distinct from new.status) execute function private.stamp_goal();
create trigger trg_goals_status before insert or update of status on public.goals
for each row execute function private.enforce_transition(
    'status', '>active', 'active>paused', 'active>completed', 'active>cancelled', 'paused>active',
    'paused>completed', 'paused>cancelled', 'completed>active', 'cancelled>active'
);
create trigger trg_goals_updated_at before update on public.goals
for each row execute function public.set_updated_at();
