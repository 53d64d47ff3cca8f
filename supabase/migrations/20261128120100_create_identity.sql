-- Tables, functions and views of the room 10_identity.
-- Touches: 10_identity. Undo: drop what it creates, newest first; nothing in it destroys data.

set lock_timeout = '5s';

-- Values stand in the order of the life cycle, not of the alphabet.

create type public.user_role as enum ('student', 'tutor', 'parent', 'teacher', 'admin');
comment on type public.user_role is
    'What an account is for; each has one role. student: learns. tutor: sees the students assigned to them. parent: '
    'sees children with consent. teacher: prepares classes and sees no student. admin: staff, through the role '
    'app_admin.';

create type public.timezone_source as enum ('default', 'canvas', 'person');
comment on type public.timezone_source is
    'Where a profile''s time zone comes from. default: nobody said. canvas: the person''s account in Canvas. person: '
    'the person, at sign-up or later; nothing replaces that choice.';

create type public.learning_style as enum ('visual', 'textual', 'mixed');
comment on type public.learning_style is 'How learners say they learn best.';

create type public.guardianship_status as enum ('pending', 'active', 'revoked');
comment on type public.guardianship_status is
    'pending: asked for, no access. active: consent is recorded. revoked: withdrawn by either side or by staff.';

create type public.consent_basis as enum ('student_consent', 'minor_verified');
comment on type public.consent_basis is
    'student_consent: the student accepted. minor_verified: staff checked that the student is a minor until '
    'valid_until.';

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
    return new;
end
$$;

comment on function private.check_timezone() is
    'BEFORE INSERT OR UPDATE OF timezone on profiles: only zones the database can compute with, else 23514. A zone '
    'that the person changes has the source person.';

create trigger trg_profiles_timezone before insert or update of timezone on public.profiles
for each row execute function private.check_timezone();

create trigger trg_profiles_updated_at before update on public.profiles
for each row execute function public.set_updated_at();

create trigger trg_profiles_audit after update of role on public.profiles
for each row when (old.role is distinct from new.role)
execute function private.audit('user_id', 'user_id', 'role');

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

-- Figures the system keeps about a person. Nobody writes them by REST: learners must not set their own points.
-- Filled by refresh_user_stats and touch_last_active.

create table public.user_stats (
    user_id uuid primary key,
    gamification jsonb not null default '{}',
    analytics jsonb not null default '{}',
    last_active timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint user_stats_user_id_fkey
        foreign key (user_id)
        references public.profiles(user_id) on delete cascade,
    constraint user_stats_gamification_check check (jsonb_typeof(gamification) = 'object'),
    constraint user_stats_analytics_check check (jsonb_typeof(analytics) = 'object')
);

comment on table public.user_stats is 'Points and engagement of a person, computed by the system. One row per account.';
comment on column public.user_stats.user_id is 'Whose figures.';
comment on column public.user_stats.gamification is 'Keys xp, level, badges, streaks, meta_rewards.';
comment on column public.user_stats.analytics is 'Keys override_count, confidence_distribution, nudge_engagement.';
comment on column public.user_stats.last_active is 'When the person last used the product, to five minutes.';
comment on column public.user_stats.created_at is 'When the row was made.';
comment on column public.user_stats.updated_at is 'When the row last changed.';

create trigger trg_user_stats_updated_at before update on public.user_stats
for each row execute function public.set_updated_at();

-- Which parent may see which student. A parent account alone shows nothing: access begins with a recorded consent and
-- ends on revocation or after valid_until. Staff propose and verify, the student answers with respond_guardianship, and
-- either side ends it with revoke_guardianship. Every change is audited.

create table public.guardianships (
    id uuid primary key default gen_random_uuid(),
    parent_id uuid not null,
    student_id uuid not null,
    status public.guardianship_status not null default 'pending',
    relationship text,
    consent_basis public.consent_basis,
    consented_by uuid,
    consented_at timestamptz,
    valid_until date,
    revoked_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint guardianships_parent_id_student_id_key unique (parent_id, student_id),
    constraint guardianships_parent_id_fkey
        foreign key (parent_id)
        references public.profiles(user_id) on delete cascade,
    constraint guardianships_student_id_fkey
        foreign key (student_id)
        references public.profiles(user_id) on delete cascade,
    constraint guardianships_consented_by_fkey
        foreign key (consented_by)
        references public.profiles(user_id) on delete set null,
    constraint guardianships_self_check check (parent_id <> student_id),
    constraint guardianships_relationship_check check (char_length(relationship) <= 100),
    constraint guardianships_consent_check
        check (status <> 'active' or (consent_basis is not null and consented_at is not null)),
    -- infinite days and years that clients cannot read
    constraint guardianships_valid_until_check check (valid_until between '0001-01-01' and '9999-12-31'),
    constraint guardianships_minor_check
        check (consent_basis is distinct from 'minor_verified' or valid_until is not null)
);

create index idx_guardianships_student_id on public.guardianships (student_id);
-- for private.my_guardians()
create index idx_guardianships_student_id_active on public.guardianships (student_id, parent_id)
where status = 'active';
create index idx_guardianships_consented_by on public.guardianships (consented_by);

comment on table public.guardianships is 'A parent''s right to see a student''s learning, and the consent behind it.';
comment on column public.guardianships.id is 'Key.';
comment on column public.guardianships.parent_id is 'The adult; must have role parent.';
comment on column public.guardianships.student_id is 'The child; must have role student.';
comment on column public.guardianships.status is 'Only active gives access.';
comment on column public.guardianships.relationship is 'For people to read: mother, uncle, carer.';
comment on column public.guardianships.consent_basis is 'Why access is lawful; required while active.';
comment on column public.guardianships.consented_by is 'Who recorded the consent: the student, or staff for a minor.';
comment on column public.guardianships.consented_at is 'When consent was recorded; required while active.';
comment on column public.guardianships.valid_until is
    'Last day of access, in UTC, inclusive; required for minor_verified.';
comment on column public.guardianships.revoked_at is 'When it was last revoked.';
comment on column public.guardianships.created_at is 'When it was proposed.';
comment on column public.guardianships.updated_at is 'When the row last changed.';

create function private.stamp_guardianship()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if new.status = 'active' then
        new.consented_at := coalesce(new.consented_at, private.clock());
        new.consented_by := coalesce(new.consented_by, private.caller_id());
    elsif new.status = 'revoked' then
        new.revoked_at := private.clock();
    else
        -- asked for again: the old consent does not cover the new request
        new.consent_basis := null;
        new.consented_by := null;
        new.consented_at := null;
        new.valid_until := null;
        new.revoked_at := null;
    end if;
    return new;
end
$$;

comment on function private.stamp_guardianship() is
    'BEFORE UPDATE on guardianships when status changes: records who consented and when, or when it ended.';

create trigger trg_guardianships_roles after insert or update of parent_id, student_id on public.guardianships
for each row execute function private.check_profile_role('parent_id', 'parent', 'student_id', 'student');

create trigger trg_guardianships_stamp before update of status on public.guardianships
for each row when (old.status is distinct from new.status)
execute function private.stamp_guardianship();

create trigger trg_guardianships_status before insert or update of status on public.guardianships
for each row execute function private.enforce_transition(
    'status', '>pending', 'pending>active', 'pending>revoked', 'active>revoked', 'revoked>pending'
);

create trigger trg_guardianships_updated_at before update on public.guardianships
for each row execute function public.set_updated_at();

create trigger trg_guardianships_audit after insert or update or delete on public.guardianships
for each row execute function private.audit(
    'id', 'student_id', 'parent_id', 'student_id', 'status', 'consent_basis', 'consented_by', 'valid_until'
);

-- Who a person is at an identity provider that nobody signs in with any more: the old Cognito subject. LTI subjects
-- have their own table, because a Canvas platform is more than an issuer string. Only the service reads or writes it.

create table private.external_identities (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null,
    kind text not null,
    issuer text not null,
    subject text not null,
    created_at timestamptz not null default now(),
    constraint external_identities_issuer_subject_key unique (issuer, subject),
    constraint external_identities_user_id_fkey
        foreign key (user_id)
        references auth.users(id) on delete cascade,
    constraint external_identities_kind_check check (kind = 'cognito'),
    constraint external_identities_issuer_check check (char_length(issuer) between 1 and 2000),
    constraint external_identities_subject_check check (char_length(subject) between 1 and 255)
);

create index idx_external_identities_user_id on private.external_identities (user_id);

comment on table private.external_identities is 'The same person at an outside identity provider.';
comment on column private.external_identities.id is 'Key.';
comment on column private.external_identities.user_id is 'Our account.';
comment on column private.external_identities.kind is 'The kind of provider; only cognito is known.';
comment on column private.external_identities.issuer is 'The provider''s issuer address.';
comment on column private.external_identities.subject is 'The person''s id at the provider.';
comment on column private.external_identities.created_at is 'When the two were linked.';

create function public.svc_link_external_identity(p_user_id uuid, p_kind text, p_issuer text, p_subject text)
returns uuid
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_id uuid;
begin
    if p_user_id is null or p_kind is null or p_issuer is null or p_subject is null then
        raise exception 'p_user_id, p_kind, p_issuer and p_subject must not be null' using errcode = '22004';
    end if;
    if p_kind <> 'cognito' then
        raise exception 'p_kind must be cognito' using errcode = '22023';
    end if;
    if not exists (select from auth.users where id = p_user_id) then
        raise exception 'no account has the id in p_user_id' using errcode = 'PT404';
    end if;
    insert into private.external_identities (user_id, kind, issuer, subject)
    values (p_user_id, p_kind, p_issuer, p_subject)
    on conflict (issuer, subject) do nothing;
    select id into v_id from private.external_identities
    where issuer = p_issuer and subject = p_subject and user_id = p_user_id;
    if not found then
        raise exception 'this identity is linked to another account' using errcode = 'PT409',
            hint = 'Find that account with svc_find_external_identity.';
    end if;
    return v_id;
end
$$;

comment on function public.svc_link_external_identity(uuid, text, text, text) is
    'Links an outside identity to an account and returns the link''s id. Safe to repeat. PT404 when the account does '
    'not exist, PT409 when the identity is linked to another account.';

create function public.svc_find_external_identity(p_kind text, p_issuer text, p_subject text)
returns uuid
language sql
stable
security definer
set search_path = ''
as $$
    select user_id from private.external_identities
    where kind = p_kind and issuer = p_issuer and subject = p_subject;
$$;

comment on function public.svc_find_external_identity(text, text, text) is
    'The account behind an outside identity, or null.';

-- Who is related to whom, as policies ask it. Lists are uuid[], so that `column = any ((select
-- private.list())::uuid[])` runs once for a statement and drives an index. The boolean forms check single rows in
-- functions, never rows of a table. Rights of tutors are in 80_tutoring/rights.sql.

create function private.is_admin()
returns boolean
language plpgsql
stable
parallel safe
security definer
set search_path = ''
as $$
begin
    return exists (select from public.profiles where user_id = private.caller_id() and role = 'admin');
end
$$;

comment on function private.is_admin() is
    'Whether the caller''s profile says admin now. A token keeps its role for up to an hour, so the token alone opens '
    'nothing to a former administrator.';

create function private.require_admin()
returns void
language plpgsql
stable
set search_path = ''
as $$
begin
    if not private.is_admin() then
        raise exception 'only administrators may do this' using errcode = '42501';
    end if;
end
$$;

comment on function private.require_admin() is 'private.is_admin() for functions: raises 42501 for everybody else.';

create function private.guarded_students()
returns uuid[]
language plpgsql
stable
parallel safe
security definer
set search_path = ''
as $$
declare
    v_today constant date := private.today();
begin
    return array(
        select g.student_id from public.guardianships as g
        join public.profiles as parent on parent.user_id = g.parent_id and parent.role = 'parent'
        where g.parent_id = private.caller_id() and g.status = 'active'
            and (g.valid_until is null or g.valid_until >= v_today)
    );
end
$$;

comment on function private.guarded_students() is
    'The caller''s children: consent is active and not past valid_until, and the caller''s role is still parent.';

create function private.my_guardians()
returns uuid[]
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_today constant date := private.today();
begin
    return array(
        select g.parent_id from public.guardianships as g
        join public.profiles as parent on parent.user_id = g.parent_id and parent.role = 'parent'
        where g.student_id = private.caller_id() and g.status = 'active'
            and (g.valid_until is null or g.valid_until >= v_today)
    );
end
$$;

comment on function private.my_guardians() is 'The parents who see the caller now.';

create function private.related_people()
returns uuid[]
language plpgsql
stable
parallel safe
security definer
set search_path = ''
as $$
declare
    v_me constant uuid := private.caller_id();
begin
    -- An account has one role, so a person has ties of one kind.
    return case (select role from public.profiles where user_id = v_me)
        when 'student' then private.my_guardians() || private.tutors_of(array[v_me])
        when 'parent' then private.guarded_students() || private.tutors_of(private.guarded_students())
        -- A paused tutor keeps the profile of the student, though no row of the student's work.
        when 'tutor' then array(select distinct student_id from private.current_assignments where tutor_id = v_me)
        else '{}'
    end;
end
$$;

comment on function private.related_people() is
    'Whose profile the caller sees beside their own: students, tutors, guardians, children with consent and their '
    'tutors.';

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

-- Whoever stops being a tutor or parent keeps no access through an old row. A student with an active tutor or guardian
-- stays a student.

create function private.on_role_change()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if old.role = 'student' and (
        exists (
            select from public.tutor_student_assignments where student_id = old.user_id and status = 'active'
        )
        or exists (select from public.guardianships where student_id = old.user_id and status = 'active')
    ) then
        raise exception 'a student with an active tutor or guardian cannot change the role'
            using errcode = '23514', hint = 'End the assignments and guardianships first.';
    end if;
    if old.role = 'student' then
        -- a paused assignment or a pending request must not become active for somebody who is no longer a student
        update public.tutor_student_assignments set status = 'completed'
        where student_id = old.user_id and status = 'paused';
        update public.guardianships set status = 'revoked'
        where student_id = old.user_id and status = 'pending';
    elsif old.role = 'tutor' then
        update public.tutor_student_assignments
        -- an assignment that had not begun ends on the day it would have begun: end_date must not precede start_date
        set status = 'completed', end_date = greatest(start_date, private.today())
        where tutor_id = old.user_id and status in ('active', 'paused');
    elsif old.role = 'parent' then
        update public.guardianships set status = 'revoked'
        where parent_id = old.user_id and status in ('pending', 'active');
    end if;
    return null;
end
$$;

comment on function private.on_role_change() is
    'AFTER UPDATE OF role on profiles: ends the assignments of a former tutor and the guardianships of a former '
    'parent. A student with an active assignment or guardianship keeps the role (23514); paused and pending ones end.';

create trigger trg_profiles_role after update of role on public.profiles
for each row when (old.role is distinct from new.role)
execute function private.on_role_change();

-- Makes the rows that the sign-up trigger makes, for an account that lacks them because the trigger failed.

create function private.ensure_profile()
returns public.profiles
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_caller constant uuid := private.require_caller();
    v_profile public.profiles;
begin
    perform private.create_profile(u.id, u.raw_app_meta_data, u.raw_user_meta_data)
    from auth.users as u where u.id = v_caller;
    select * into v_profile from public.profiles where user_id = v_caller;
    if not found then
        raise exception 'the account no longer exists' using errcode = 'PT404', hint = 'Sign in again.';
    end if;
    return v_profile;
end
$$;

comment on function private.ensure_profile() is 'Behind public.ensure_profile().';

create function public.ensure_profile()
returns public.profiles
language sql
volatile
set search_path = ''
begin atomic
    select private.ensure_profile();
end;

comment on function public.ensure_profile() is
    'The caller''s profile. Makes it when it is missing, with settings and statistics. PT404 when the account is '
    'deleted.';

create function private.touch_last_active()
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_caller constant uuid := private.require_caller();
begin
    update public.user_stats set last_active = private.clock()
    where user_id = v_caller
        -- five minutes is precise enough for streaks, and most calls write nothing
        and (last_active is null or last_active <= private.clock() - interval '5 minutes');
end
$$;

comment on function private.touch_last_active() is 'Behind public.touch_last_active().';

create function public.touch_last_active()
returns void
language sql
volatile
set search_path = ''
begin atomic
    select private.touch_last_active();
end;

comment on function public.touch_last_active() is
    'Records that the caller is active. Writes at most once in five minutes.';

-- The student answers a parent's request. Both sides can end it.

create function private.respond_guardianship(p_id uuid, p_accept boolean)
returns public.guardianships
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_caller constant uuid := private.require_caller();
    v_row public.guardianships;
begin
    if p_id is null or p_accept is null then
        raise exception 'p_id and p_accept must not be null' using errcode = '22004';
    end if;
    select * into v_row from public.guardianships
    where id = p_id and v_caller in (parent_id, student_id) for update;
    if not found then
        raise exception 'no guardianship of yours has the id in p_id' using errcode = 'PT404';
    end if;
    if v_row.student_id <> v_caller then
        raise exception 'only the student can answer this request' using errcode = '42501',
            hint = 'A parent can end it with revoke_guardianship.';
    end if;
    if v_row.status <> 'pending' then
        raise exception 'the request was already answered or ended' using errcode = '23514',
            hint = 'Read its status.';
    end if;
    if p_accept then
        update public.guardianships
        set status = 'active', consent_basis = 'student_consent', consented_by = v_caller,
            consented_at = private.clock()
        where id = p_id returning * into v_row;
    else
        update public.guardianships set status = 'revoked' where id = p_id returning * into v_row;
    end if;
    return v_row;
end
$$;

comment on function private.respond_guardianship(uuid, boolean) is 'Behind public.respond_guardianship().';

create function public.respond_guardianship(p_id uuid, p_accept boolean)
returns public.guardianships
language sql
volatile
set search_path = ''
begin atomic
    select private.respond_guardianship(p_id, p_accept);
end;

comment on function public.respond_guardianship(uuid, boolean) is
    'The student accepts or refuses a pending guardianship; accepting it is the consent. 42501 for the parent, PT404 '
    'for others, 23514 when it is not pending.';

create function private.revoke_guardianship(p_id uuid)
returns public.guardianships
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_caller constant uuid := private.require_caller();
    v_row public.guardianships;
begin
    if p_id is null then
        raise exception 'p_id must not be null' using errcode = '22004';
    end if;
    update public.guardianships set status = 'revoked'
    where id = p_id and v_caller in (parent_id, student_id) returning * into v_row;
    if not found then
        raise exception 'no guardianship of yours has the id in p_id' using errcode = 'PT404';
    end if;
    return v_row;
end
$$;

comment on function private.revoke_guardianship(uuid) is 'Behind public.revoke_guardianship().';

create function public.revoke_guardianship(p_id uuid)
returns public.guardianships
language sql
volatile
set search_path = ''
begin atomic
    select private.revoke_guardianship(p_id);
end;

comment on function public.revoke_guardianship(uuid) is
    'The parent or the student ends a pending or active guardianship; access stops at once. Safe to repeat. PT404 for '
    'anybody else.';

-- Granted to app_admin alone. A token keeps that role after its owner lost it, so the function asks the profile as
-- well; otherwise a demoted administrator could promote themselves again.

create function private.admin_set_role(p_user_id uuid, p_role text)
returns public.profiles
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_profile public.profiles;
begin
    perform private.require_admin();
    if p_user_id is null or p_role is null then
        raise exception 'p_user_id and p_role must not be null' using errcode = '22004';
    end if;
    if p_role <> all (enum_range(null::public.user_role)::text[]) then
        raise exception 'p_role must be one of %', array_to_string(enum_range(null::public.user_role), ', ')
            using errcode = '22023';
    end if;
    update public.profiles set role = p_role::public.user_role where user_id = p_user_id returning * into v_profile;
    if not found then
        raise exception 'no person has the id in p_user_id' using errcode = 'PT404';
    end if;
    return v_profile;
end
$$;

comment on function private.admin_set_role(uuid, text) is 'Behind public.admin_set_role().';

create function public.admin_set_role(p_user_id uuid, p_role text)
returns public.profiles
language sql
volatile
set search_path = ''
begin atomic
    select private.admin_set_role(p_user_id, p_role);
end;

comment on function public.admin_set_role(uuid, text) is
    'Staff gives an account another role; see private.on_role_change for what ends with the old one. The new role is '
    'in the person''s token from its next refresh on. PT404, 22023 for an unknown role.';

-- The custom access token hook of Auth, run as supabase_auth_admin on every sign-in and refresh. Invoker rights: it
-- reads profiles by a grant and a policy of that role, so nothing here can be used to see more.

create function private.custom_access_token(event jsonb)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
    v_role public.user_role;
begin
    -- An account that Canvas made has no credentials of its own: a teacher removed there must not stay by a password.
    -- Our LTI hand-off redeems a one-time link, which Auth calls otp.
    if event #>> '{claims,app_metadata,lti,managed}' = 'true'
        and coalesce(event ->> 'authentication_method', '') not in ('otp', 'token_refresh') then
        return jsonb_build_object(
            'error',
            jsonb_build_object('http_code', 403, 'message', 'This account signs in from Canvas. Open the tool there.')
        );
    end if;

    select role into v_role from public.profiles where user_id = (event ->> 'user_id')::uuid;
    event := jsonb_set(event, '{claims,user_role}', to_jsonb(coalesce(v_role, 'student')));
    if v_role = 'admin' then
        event := jsonb_set(event, '{claims,role}', '"app_admin"');
    end if;
    return event;
end
$$;

comment on function private.custom_access_token(jsonb) is
    'Adds user_role to every access token, and its database role to those of staff. Refuses any sign-in of a managed '
    'LTI account but the one-time link of our own hand-off. An account without profile counts as student.';
