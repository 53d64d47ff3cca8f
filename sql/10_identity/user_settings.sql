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
comment on column public.user_settings.preferences is 'Free-form settings of the front end; at most 64 KiB.';
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
