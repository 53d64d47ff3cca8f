-- A person's own settings. Only the person reads and writes them; the row is made at sign-up.

create table public.user_settings (
    user_id uuid primary key,
    preferences jsonb not null default '{}',
    voice_preference text,
    learning_preferences jsonb not null default '{}',
    learning_style public.learning_style,
    nudge_frequency_cap smallint not null default 1,
    disclaimer_shown boolean not null default false,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint user_settings_user_id_fkey
        foreign key (user_id)
        references public.profiles(user_id) on delete cascade,
    constraint user_settings_preferences_check
        check (jsonb_typeof(preferences) = 'object' and octet_length(preferences::text) <= 65536),
    constraint user_settings_voice_preference_check check (char_length(voice_preference) <= 200),
    constraint user_settings_learning_preferences_check
        check (jsonb_typeof(learning_preferences) = 'object' and octet_length(learning_preferences::text) <= 65536),
    constraint user_settings_nudge_frequency_cap_check check (nudge_frequency_cap between 0 and 20)
);

comment on table public.user_settings is 'A person''s own settings, seen by nobody else. One row per account.';
comment on column public.user_settings.user_id is 'Whose settings.';
comment on column public.user_settings.preferences is
    'Settings of the front end; at most 64 KiB. Key headstart: {auto false, lead_hours 1 to 336 (48), '
    'excluded_course_ids, max_per_day 0 to 20 (5)} for headstarts that start by themselves, and material (false): '
    'whether headstarts use pages and the syllabus of the course. Other keys are free.';
comment on column public.user_settings.voice_preference is 'Voice chosen for spoken sessions.';
comment on column public.user_settings.learning_preferences is
    'Free-form answers about how the person learns; at most 64 KiB.';
comment on column public.user_settings.learning_style is 'How explanations are best presented.';
comment on column public.user_settings.nudge_frequency_cap is 'At most so many nudges per local day; 0 means none.';
comment on column public.user_settings.disclaimer_shown is
    'The notice about answers written by a model was shown; stays true.';
comment on column public.user_settings.created_at is 'When the row was made.';
comment on column public.user_settings.updated_at is 'When the row last changed.';

create function private.keep_disclaimer_shown()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    raise exception 'disclaimer_shown cannot go back to false' using errcode = '23514',
        hint = 'Leave the column out, or send true.';
end
$$;

comment on function private.keep_disclaimer_shown() is
    'BEFORE UPDATE on user_settings: raises 23514 when disclaimer_shown would go back to false.';

create function private.headstart_preferences_fault(p_preferences jsonb)
returns text
language sql
immutable
set search_path = ''
as $$
    select case
        when h is null then null
        when jsonb_typeof(h) <> 'object' then ' must be an object'
        when h - '{auto,lead_hours,excluded_course_ids,max_per_day,material}'::text[] <> '{}'
            then ' may only have the keys auto, lead_hours, excluded_course_ids, max_per_day and material'
        when h ? 'auto' and jsonb_typeof(h -> 'auto') <> 'boolean' then '.auto must be true or false'
        when h ? 'material' and jsonb_typeof(h -> 'material') <> 'boolean' then '.material must be true or false'
        when h ? 'lead_hours'
            and not jsonb_path_exists(h, 'strict $.lead_hours ? (@ >= 1 && @ <= 336 && @.floor() == @)')
            then '.lead_hours must be a whole number from 1 to 336'
        when h ? 'max_per_day'
            and not jsonb_path_exists(h, 'strict $.max_per_day ? (@ >= 0 && @ <= 20 && @.floor() == @)')
            then '.max_per_day must be a whole number from 0 to 20'
        when not h ? 'excluded_course_ids' then null
        when jsonb_typeof(h -> 'excluded_course_ids') <> 'array' or jsonb_array_length(h -> 'excluded_course_ids') > 500
            or jsonb_array_length(h -> 'excluded_course_ids') <> jsonb_array_length(jsonb_path_query_array(
                h,
                'strict $.excluded_course_ids[*] ? (@ like_regex "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")'
            ))
            then '.excluded_course_ids must be a list of at most 500 ids of courses'
    end
    from (select p_preferences -> 'headstart' as h) as given;
$$;

comment on function private.headstart_preferences_fault(jsonb) is
    'What is wrong with preferences.headstart, as the end of a sentence; null when nothing is.';

create function private.check_preferences()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_fault constant text := private.headstart_preferences_fault(new.preferences);
begin
    if v_fault is not null then
        raise exception 'preferences.headstart%', v_fault using errcode = '23514';
    end if;
    return new;
end
$$;

comment on function private.check_preferences() is
    'BEFORE INSERT OR UPDATE on user_settings: raises 23514 for preferences.headstart that cannot be read.';

-- for the schedule that looks for what is due soon
create index idx_user_settings_automatic_headstarts on public.user_settings (user_id)
where (preferences -> 'headstart' -> 'auto') = 'true'::jsonb;

create trigger trg_user_settings_preferences before insert or update of preferences on public.user_settings
for each row execute function private.check_preferences();

create trigger trg_user_settings_columns before update on public.user_settings
for each row execute function private.keep_columns(
    'preferences', 'voice_preference', 'learning_preferences', 'learning_style', 'nudge_frequency_cap',
    'disclaimer_shown'
);
create trigger trg_user_settings_disclaimer before update on public.user_settings
for each row when (old.disclaimer_shown and not new.disclaimer_shown)
execute function private.keep_disclaimer_shown();

create trigger trg_user_settings_updated_at before update on public.user_settings
for each row execute function public.set_updated_at();
