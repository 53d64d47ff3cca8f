-- Every account gets its profile, settings and statistics. The role comes from app_metadata, which only the service can
-- write. user_metadata is written by whoever signs up: it gives a name and a time zone, cleaned, and never a right.

create function private.role_from_metadata(p_app_metadata jsonb)
returns public.user_role
language sql
stable
set search_path = ''
as $$
    select coalesce(
        (select role from unnest(enum_range(null::public.user_role)) as role
            where role::text = p_app_metadata ->> 'role'),
        'student'
    );
$$;

comment on function private.role_from_metadata(jsonb) is
    'The role named in app_metadata; student when there is none or it is unknown.';

create function private.name_from_metadata(p_user_metadata jsonb)
returns text
language sql
immutable
set search_path = ''
as $$
    select rtrim(left(name, 200))
    from (
        select ordinality, private.clean_name(p_user_metadata ->> key) as name
        from unnest(array['display_name', 'full_name', 'name']) with ordinality as k (key, ordinality)
        where jsonb_typeof(p_user_metadata -> key) = 'string'
    ) as named
    where name is not null
    order by ordinality
    limit 1
$$;

comment on function private.name_from_metadata(jsonb) is
    'The first name among display_name, full_name and name of a sign-up''s metadata, cleaned and cut at 200 '
    'characters; null without one. Takes any JSON.';

create function private.timezone_from_metadata(p_user_metadata jsonb)
returns text
language sql
stable
set search_path = ''
as $$
    select case when private.is_timezone(p_user_metadata ->> 'timezone') then p_user_metadata ->> 'timezone' end
$$;

comment on function private.timezone_from_metadata(jsonb) is
    'The time zone of a sign-up''s metadata; null for none and for one that is unknown. Takes any JSON.';

create function private.create_profile(p_user_id uuid, p_app_metadata jsonb, p_user_metadata jsonb)
returns void
language sql
volatile
set search_path = ''
as $$
    insert into public.profiles (user_id, role, display_name, timezone, timezone_source)
    select
        p_user_id,
        private.role_from_metadata(p_app_metadata),
        private.name_from_metadata(p_user_metadata),
        coalesce(zone, 'UTC'),
        case when zone is null then 'default' else 'person' end::public.timezone_source
    from private.timezone_from_metadata(p_user_metadata) as zone
    on conflict do nothing;
    insert into public.user_settings (user_id) values (p_user_id) on conflict do nothing;
    insert into public.user_stats (user_id) values (p_user_id) on conflict do nothing;
$$;

comment on function private.create_profile(uuid, jsonb, jsonb) is
    'Makes the rows every account has; what exists stays as it is.';

create function private.handle_new_user()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform private.create_profile(new.id, new.raw_app_meta_data, new.raw_user_meta_data);
    return null;
exception when others then
    -- a sign-up is worth more than its profile, which ensure_profile() makes up for
    raise warning 'no profile for a new account: %', sqlerrm;
    return null;
end
$$;

comment on function private.handle_new_user() is
    'AFTER INSERT on auth.users: makes the profile. Never raises, for that would refuse the sign-up.';

create trigger trg_users_profile after insert on auth.users
for each row execute function private.handle_new_user();

create function private.handle_new_user_role()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    -- created_at = now() is true only inside the transaction that made the account
    update public.profiles set role = private.role_from_metadata(new.raw_app_meta_data)
    where user_id = new.id and created_at = now()
        and role is distinct from private.role_from_metadata(new.raw_app_meta_data);
    return null;
exception when others then
    raise warning 'the role of a new account was not set: %', sqlerrm;
    return null;
end
$$;

comment on function private.handle_new_user_role() is
    'AFTER UPDATE of app_metadata on auth.users, in the transaction that made the account only: the administration '
    'call of Auth inserts the row first and its app_metadata a statement later. After that the role is '
    'admin_set_role''s.';

create trigger trg_users_profile_role after update of raw_app_meta_data on auth.users
for each row when (old.raw_app_meta_data ->> 'role' is distinct from new.raw_app_meta_data ->> 'role')
execute function private.handle_new_user_role();
