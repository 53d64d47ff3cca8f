-- The exposed half of a person; auth.users is the other. It holds only what related people may see: settings, statistics
-- and secrets live in siblings, because a row is shown whole or not at all.
-- Written by the sign-up trigger; the person edits name, picture and time zone; staff changes the role by RPC.
-- No e-mail address: that is auth.users.email.

create table public.profiles (
    user_id uuid primary key references auth.users (id) on delete cascade,
    role public.user_role not null default 'student',
    display_name text,
    avatar_url text,
    timezone text not null default 'UTC',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint profiles_display_name_check check (char_length(display_name) <= 200),
    constraint profiles_avatar_url_check check (char_length(avatar_url) <= 2000),
    constraint profiles_timezone_check check (char_length(timezone) <= 64)
);

-- lists of tutors or teachers for staff
create index idx_profiles_role on public.profiles (role);

comment on table public.profiles is 'A person, as related people see him. One row per account.';
comment on column public.profiles.user_id is 'The account: auth.users.id.';
comment on column public.profiles.role is 'What the account is for. Changed by admin_set_role only.';
comment on column public.profiles.display_name is 'The name others see.';
comment on column public.profiles.avatar_url is 'Address of a picture.';
comment on column public.profiles.timezone is 'IANA name of the person''s time zone; decides when his day begins.';
comment on column public.profiles.created_at is 'When the account was made.';
comment on column public.profiles.updated_at is 'When the row last changed.';

create function private.check_timezone()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    -- reading the list of zones costs milliseconds: only for a new value that is not the default
    if new.timezone = 'UTC' or (tg_op = 'UPDATE' and new.timezone = old.timezone) then
        return new;
    end if;
    if not exists (select from pg_catalog.pg_timezone_names where name = new.timezone) then
        raise exception 'unknown time zone' using errcode = '23514', hint = 'Use an IANA name such as Europe/Berlin.';
    end if;
    return new;
end
$$;

comment on function private.check_timezone() is
    'BEFORE INSERT OR UPDATE OF timezone on profiles: only zones the database can compute with, else 23514.';

create trigger trg_profiles_timezone before insert or update of timezone on public.profiles
for each row execute function private.check_timezone();

create trigger trg_profiles_updated_at before update on public.profiles
for each row execute function public.set_updated_at();

create trigger trg_profiles_audit after update of role on public.profiles
for each row when (old.role is distinct from new.role)
execute function private.audit('user_id', 'user_id', 'role');
