-- When and how long a person studies. Suggested blocks and the planner read it; without a row the defaults hold.

create table public.planner_settings (
    user_id uuid primary key default private.caller_id(),
    working_hours jsonb not null default '[]',
    block_minutes smallint not null default 50,
    break_minutes smallint not null default 10,
    max_minutes_per_day smallint not null default 240,
    buffer_hours smallint not null default 12,
    auto_replan boolean not null default false,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint planner_settings_user_id_fkey
        foreign key (user_id)
        references public.profiles(user_id) on delete cascade,
    constraint planner_settings_working_hours_check check (jsonb_typeof(working_hours) = 'array'),
    -- each entry must fulfil the condition; strict, so that a missing key does not
    constraint planner_settings_working_hours_entries_check check (
        jsonb_array_length(working_hours) <= 50
        and jsonb_array_length(working_hours) = jsonb_array_length(jsonb_path_query_array(
            working_hours,
            'strict $[*] ? (@.type() == "object" && @.weekday >= 1 && @.weekday <= 7'
            ' && @.weekday.floor() == @.weekday'
            ' && @.start like_regex "^([01][0-9]|2[0-3]):[0-5][0-9]$"'
            ' && @.end like_regex "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$" && @.start < @.end)'
        ))
    ),
    constraint planner_settings_block_minutes_check check (block_minutes between 25 and 120),
    constraint planner_settings_break_minutes_check check (break_minutes between 0 and 120),
    constraint planner_settings_max_minutes_per_day_check check (max_minutes_per_day between 25 and 1440),
    constraint planner_settings_buffer_hours_check check (buffer_hours between 0 and 336)
);

comment on table public.planner_settings is 'When and how long a person studies; without a row the defaults hold.';
comment on column public.planner_settings.user_id is 'Whose settings.';
comment on column public.planner_settings.working_hours is
    'List of {weekday 1 (Monday) to 7, start "HH:MM", end "HH:MM" up to "24:00"} in the person''s zone; empty: '
    'evenings.';
comment on column public.planner_settings.block_minutes is 'Length of a study block.';
comment on column public.planner_settings.break_minutes is 'Pause between two blocks.';
comment on column public.planner_settings.max_minutes_per_day is 'The most study time on one day of the person.';
comment on column public.planner_settings.buffer_hours is 'How long before the due time the work should be done.';
comment on column public.planner_settings.auto_replan is 'Whether the plan may be changed without asking.';
comment on column public.planner_settings.created_at is 'When the row was made.';
comment on column public.planner_settings.updated_at is 'When the row last changed.';

create trigger trg_planner_settings_columns before update on public.planner_settings
for each row execute function private.keep_columns(
    'working_hours', 'block_minutes', 'break_minutes', 'max_minutes_per_day', 'buffer_hours', 'auto_replan'
);
create trigger trg_planner_settings_updated_at before update on public.planner_settings
for each row execute function public.set_updated_at();
