-- The exposed half of a person; auth.users is the other. It holds only what related people may see: settings,
-- statistics and secrets live in siblings, because a row is shown whole or not at all.
-- Written by the sign-up trigger; the person edits name, picture and time zone; staff changes the role by RPC.
-- No e-mail address: that is auth.users.email.

create table public.profiles (
    user_id uuid primary key references auth.users(id) on delete cascade,
    role public.user_role not null default 'student',
    display_name text,
    avatar_url text,
    timezone text not null default 'UTC',
    timezone_source public.timezone_source not null default 'default',
    pending_timezone text,
    timezone_changed_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint profiles_display_name_check check (char_length(display_name) <= 200),
    constraint profiles_avatar_url_check check (char_length(avatar_url) <= 2000),
    constraint profiles_timezone_check check (char_length(timezone) <= 64)
);

-- lists of tutors or teachers for staff
create index idx_profiles_role on public.profiles (role);

comment on table public.profiles is 'A person, as related people see them. One row per account.';
comment on column public.profiles.user_id is 'The account: auth.users.id.';
comment on column public.profiles.role is 'What the account is for. Changed by admin_set_role only.';
comment on column public.profiles.display_name is
    'The name others see, without control characters, invisible ones or marks that turn the direction of text.';
comment on column public.profiles.avatar_url is 'Address of a picture.';
comment on column public.profiles.timezone is 'IANA name of the person''s time zone; decides when their day begins.';
comment on column public.profiles.timezone_source is
    'Who said so. Set by trigger: a zone that the person changes is the person''s.';
comment on column public.profiles.pending_timezone is
    'The new time zone, until it also decides which day an answer counts for; see timezone_changed_at.';
comment on column public.profiles.timezone_changed_at is
    'From when on a new zone decides which day an answer counts for: a local midnight, at most once in seven days.';
comment on column public.profiles.created_at is 'When the account was made.';
comment on column public.profiles.updated_at is 'When the row last changed.';

create function private.clean_name(p_text text)
returns text
language sql
immutable
set search_path = ''
as $$
    -- names stand among other people's text: marks that turn its direction (202A to 202E, 2066 to 2069) would reach
    -- past the name, and invisible characters would let one name pass for another
    select nullif(btrim(regexp_replace(
        regexp_replace(p_text, '[\u00ad\u200b\u2060\u202a-\u202e\u2066-\u2069\ufeff\U000e0000-\U000e007f]', '', 'g'),
        '[\s\u0001-\u001f\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+', ' ', 'g'
    )), '')
$$;

comment on function private.clean_name(text) is
    'A name as others may see it: blanks of every kind are single spaces, what is invisible or turns text around is '
    'gone. Null when nothing is left.';

create function private.clean_profile()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    new.display_name := private.clean_name(new.display_name);
    return new;
end
$$;

comment on function private.clean_profile() is
    'BEFORE INSERT OR UPDATE OF display_name on profiles: keeps the name as private.clean_name() leaves it.';

create trigger trg_profiles_columns before update on public.profiles
for each row execute function private.keep_columns('display_name', 'avatar_url', 'timezone');
create trigger trg_profiles_clean before insert or update of display_name on public.profiles
for each row execute function private.clean_profile();

create function private.is_timezone(p_name text)
returns boolean
language sql
stable
set search_path = ''
as $$
    -- reading the list of zones costs milliseconds, and UTC is what most rows begin with
    select p_name = 'UTC' or exists (select from pg_catalog.pg_timezone_names where name = p_name)
$$;

comment on function private.is_timezone(text) is 'Whether the database can compute with a zone of this name.';

create function private.next_midnight(p_at timestamptz, p_zone text)
returns timestamptz
language sql
stable
set search_path = ''
as $$
    select (date_trunc('day', p_at at time zone p_zone) + interval '1 day') at time zone p_zone;
$$;

comment on function private.next_midnight(timestamptz, text) is 'When the next day begins in a zone.';

create function private.check_timezone()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if tg_op = 'UPDATE' and new.timezone = old.timezone then
        return new;
    end if;
    if not private.is_timezone(new.timezone) then
        raise exception 'unknown time zone' using errcode = '23514', hint = 'Use an IANA name such as Europe/Berlin.';
    end if;
    if tg_op = 'UPDATE' and new.user_id = private.caller_id() then
        new.timezone_source := 'person';
    end if;
    if tg_op = 'UPDATE' then
        -- times are shown in the new zone at once; a day of a streak ends where it began
        new.pending_timezone := new.timezone;
        if old.pending_timezone is null or old.timezone_changed_at <= private.clock() then
            new.timezone_changed_at := private.next_midnight(
                greatest(private.clock(), old.timezone_changed_at + interval '7 days'),
                private.streak_zone(new.user_id, private.clock())
            );
        end if;
    end if;
    return new;
end
$$;

comment on function private.check_timezone() is
    'BEFORE INSERT OR UPDATE OF timezone on profiles: only zones the database can compute with, else 23514. A zone '
    'that the person changes has the source person. For streaks a new zone counts from the next local midnight, at '
    'most once in seven days.';

create trigger trg_profiles_timezone before insert or update of timezone on public.profiles
for each row execute function private.check_timezone();

create trigger trg_profiles_updated_at before update on public.profiles
for each row execute function public.set_updated_at();

create trigger trg_profiles_audit after update of role on public.profiles
for each row when (old.role is distinct from new.role)
execute function private.audit('user_id', 'user_id', 'role');
