-- Tables, functions and views of the room 20_canvas.
-- Touches: 20_canvas. Undo: drop what it creates, newest first; nothing in it destroys data.

set lock_timeout = '5s';

-- Values stand in the order of the life cycle, not of the alphabet.

create type public.integration_provider as enum ('canvas', 'google_calendar', 'outlook_calendar');
comment on type public.integration_provider is 'Outside systems a person can connect.';

create type public.integration_status as enum ('pending', 'connected', 'expired', 'revoked', 'error');
comment on type public.integration_status is
    'pending: started. connected: tokens work. expired: Canvas no longer accepts the grant; connect again. revoked: '
    'disconnected by the person. error: the provider refuses for another reason.';

create type public.lms_connection_status as enum ('active', 'disabled');
comment on type public.lms_connection_status is 'active: people may connect; disabled: no new grants and no sync.';

create type public.assignment_status as enum ('open', 'submitted', 'graded', 'removed');
comment on type public.assignment_status is
    'Mirrors Canvas, in any order. open: nothing handed in. submitted: also while review is pending. graded. removed: '
    'missing from a complete listing; kept because headstarts and plans refer to it.';

-- One row per school's installation of Canvas. The rows are also the list of hosts that our servers may call. Staff
-- write it. The client secret is in private.lms_connection_secrets. LTI has its own tables: one installation has
-- several keys.

create table public.lms_connections (
    id uuid primary key default gen_random_uuid(),
    provider public.integration_provider not null default 'canvas',
    instance_domain text not null,
    name text not null,
    status public.lms_connection_status not null default 'active',
    oauth_client_id text,
    settings jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint lms_connections_provider_instance_domain_key unique (provider, instance_domain),
    constraint lms_connections_instance_domain_check check (
        instance_domain ~ '^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?$' and char_length(instance_domain) <= 255
    ),
    constraint lms_connections_name_check check (char_length(name) between 1 and 200),
    constraint lms_connections_oauth_client_id_check check (char_length(oauth_client_id) between 1 and 255),
    constraint lms_connections_settings_check
        check (jsonb_typeof(settings) = 'object' and octet_length(settings::text) <= 65536)
);

comment on table public.lms_connections is 'An installation of Canvas that people can connect to.';
comment on column public.lms_connections.id is 'Key.';
comment on column public.lms_connections.provider is 'Kind of system; only canvas is known.';
comment on column public.lms_connections.instance_domain is 'Lower-case host, or host:port, of the installation.';
comment on column public.lms_connections.name is 'What people call it, usually the school''s name.';
comment on column public.lms_connections.status is 'Only active ones are shown and called.';
comment on column public.lms_connections.oauth_client_id is
    'Id of our developer key at the installation; not a secret.';
comment on column public.lms_connections.settings is 'Settings of this installation, readable by its users.';
comment on column public.lms_connections.created_at is 'When it was registered.';
comment on column public.lms_connections.updated_at is 'When the row last changed.';

create trigger trg_lms_connections_status before insert or update of status on public.lms_connections
for each row execute function private.enforce_transition('status', '>active', 'active>disabled', 'disabled>active');

create trigger trg_lms_connections_updated_at before update on public.lms_connections
for each row execute function public.set_updated_at();

-- The secret half of lms_connections. The functions encrypt it before they store it; the key never comes here.

create table private.lms_connection_secrets (
    lms_connection_id uuid primary key,
    oauth_client_secret_enc text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint lms_connection_secrets_lms_connection_id_fkey
        foreign key (lms_connection_id)
        references public.lms_connections(id) on delete cascade,
    constraint lms_connection_secrets_oauth_client_secret_enc_check check (oauth_client_secret_enc ~ '^v[0-9]+:')
);

comment on table private.lms_connection_secrets is 'Our client secret at an installation of Canvas, encrypted.';
comment on column private.lms_connection_secrets.lms_connection_id is 'Which installation.';
comment on column private.lms_connection_secrets.oauth_client_secret_enc is 'Envelope v<key number>:<base64url>.';
comment on column private.lms_connection_secrets.created_at is 'When a secret was first stored.';
comment on column private.lms_connection_secrets.updated_at is 'When it was last replaced.';

create trigger trg_lms_connection_secrets_updated_at before update on private.lms_connection_secrets
for each row execute function public.set_updated_at();

create function public.svc_put_lms_secret(p_lms_connection_id uuid, p_secret_enc text)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if p_lms_connection_id is null or p_secret_enc is null then
        raise exception 'p_lms_connection_id and p_secret_enc must not be null' using errcode = '22004';
    end if;
    if not exists (select from public.lms_connections where id = p_lms_connection_id) then
        raise exception 'no connection has the id in p_lms_connection_id' using errcode = 'PT404';
    end if;
    insert into private.lms_connection_secrets (lms_connection_id, oauth_client_secret_enc)
    values (p_lms_connection_id, p_secret_enc)
    on conflict (lms_connection_id) do update set oauth_client_secret_enc = excluded.oauth_client_secret_enc;
end
$$;

comment on function public.svc_put_lms_secret(uuid, text) is
    'Stores the encrypted client secret of an installation. PT404 when the connection does not exist, 23514 when the '
    'text is not an envelope.';

create function public.svc_get_lms_secret(p_lms_connection_id uuid)
returns text
language sql
stable
security definer
set search_path = ''
as $$
    select oauth_client_secret_enc from private.lms_connection_secrets where lms_connection_id = p_lms_connection_id;
$$;

comment on function public.svc_get_lms_secret(uuid) is 'The encrypted client secret of an installation, or null.';

-- One person's grant at one outside system. The functions write it; tokens are in private.integration_tokens.
-- Connecting again keeps the row and its id, so that courses stay attached.

create table public.integrations (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null,
    provider public.integration_provider not null,
    lms_connection_id uuid,
    instance_domain text not null default '',
    external_user_id text,
    status public.integration_status not null default 'pending',
    scopes text[] not null default '{}',
    metadata jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint integrations_user_id_provider_instance_domain_key unique (user_id, provider, instance_domain),
    constraint integrations_id_user_id_key unique (id, user_id),
    constraint integrations_user_id_fkey
        foreign key (user_id)
        references public.profiles(user_id) on delete cascade,
    constraint integrations_lms_connection_id_fkey
        foreign key (lms_connection_id)
        references public.lms_connections(id) on delete restrict,
    constraint integrations_canvas_check check (provider <> 'canvas' or lms_connection_id is not null),
    constraint integrations_metadata_check check (jsonb_typeof(metadata) = 'object')
);

-- a person at the provider is connected to one account here, until it is disconnected
create unique index uq_integrations_external_user
on public.integrations (provider, instance_domain, external_user_id)
where external_user_id is not null and status <> 'revoked';
create index idx_integrations_lms_connection_id on public.integrations (lms_connection_id);

comment on table public.integrations is 'A person''s connection to Canvas or a calendar.';
comment on column public.integrations.id is 'Key; kept when the person connects again.';
comment on column public.integrations.user_id is 'Whose connection.';
comment on column public.integrations.provider is 'Which kind of system.';
comment on column public.integrations.lms_connection_id is 'Which installation; required for Canvas.';
comment on column public.integrations.instance_domain is
    'Host of the installation; empty for systems that have only one.';
comment on column public.integrations.external_user_id is 'The person''s id at the provider; Canvas ids are global.';
comment on column public.integrations.status is 'Whether the grant works.';
comment on column public.integrations.scopes is 'What the person allowed.';
comment on column public.integrations.metadata is 'More about the grant; no token and no other people''s records.';
comment on column public.integrations.created_at is 'When it was first connected.';
comment on column public.integrations.updated_at is 'When the row last changed.';

create trigger trg_integrations_status before insert or update of status on public.integrations
for each row execute function private.enforce_transition(
    'status', '>pending', '>connected',
    'pending>connected', 'pending>error', 'pending>revoked',
    'connected>expired', 'connected>revoked', 'connected>error',
    'expired>connected', 'expired>revoked',
    'error>connected', 'error>revoked',
    'revoked>pending', 'revoked>connected'
);

create trigger trg_integrations_updated_at before update on public.integrations
for each row execute function public.set_updated_at();

-- The tokens of integrations. The functions encrypt them (AES-256-GCM, row id and field as associated data). A refresh
-- at Canvas invalidates the previous token, so two at once would lock the person out. Two guards prevent it: `version`
-- (a stale writer changes nothing) and a short lease for the one process that refreshes. Reading a token is audited.

create table private.integration_tokens (
    integration_id uuid primary key,
    access_token_enc text not null,
    refresh_token_enc text,
    expires_at timestamptz,
    version int not null default 1,
    refresh_holder text,
    refresh_until timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint integration_tokens_integration_id_fkey
        foreign key (integration_id)
        references public.integrations(id) on delete cascade,
    constraint integration_tokens_access_token_enc_check check (access_token_enc ~ '^v[0-9]+:'),
    constraint integration_tokens_refresh_token_enc_check check (refresh_token_enc ~ '^v[0-9]+:'),
    constraint integration_tokens_refresh_holder_check check (char_length(refresh_holder) between 1 and 200),
    constraint integration_tokens_refresh_check check ((refresh_holder is null) = (refresh_until is null))
);

comment on table private.integration_tokens is 'Access and refresh token of an integration, encrypted.';
comment on column private.integration_tokens.integration_id is 'Whose tokens.';
comment on column private.integration_tokens.access_token_enc is 'Envelope v<key number>:<base64url>.';
comment on column private.integration_tokens.refresh_token_enc is 'Envelope; null where the provider gave none.';
comment on column private.integration_tokens.expires_at is 'When the access token expires.';
comment on column private.integration_tokens.version is 'Counts writes; a writer names the version it read.';
comment on column private.integration_tokens.refresh_holder is 'The process that is refreshing now.';
comment on column private.integration_tokens.refresh_until is
    'End of its lease; afterwards another process may refresh.';
comment on column private.integration_tokens.created_at is 'When tokens were first stored.';
comment on column private.integration_tokens.updated_at is 'When the row last changed.';

create trigger trg_integration_tokens_updated_at before update on private.integration_tokens
for each row execute function public.set_updated_at();

create function public.svc_put_integration_token(
    p_integration_id uuid,
    p_access_token_enc text,
    p_refresh_token_enc text default null,
    p_expires_at timestamptz default null,
    p_expected_version int default null
)
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_version int;
begin
    if p_integration_id is null or p_access_token_enc is null then
        raise exception 'p_integration_id and p_access_token_enc must not be null' using errcode = '22004';
    end if;
    perform private.check_time('p_expires_at', p_expires_at);
    if not exists (select from public.integrations where id = p_integration_id) then
        raise exception 'no integration has the id in p_integration_id' using errcode = 'PT404';
    end if;
    if p_expected_version is null then
        insert into private.integration_tokens as t (integration_id, access_token_enc, refresh_token_enc, expires_at)
        values (p_integration_id, p_access_token_enc, p_refresh_token_enc, p_expires_at)
        on conflict (integration_id) do update
        set access_token_enc = excluded.access_token_enc,
            refresh_token_enc = coalesce(excluded.refresh_token_enc, t.refresh_token_enc),
            expires_at = excluded.expires_at,
            version = t.version + 1
        returning version into v_version;
    else
        update private.integration_tokens
        set access_token_enc = p_access_token_enc,
            refresh_token_enc = coalesce(p_refresh_token_enc, refresh_token_enc),
            expires_at = p_expires_at,
            version = version + 1
        where integration_id = p_integration_id and version = p_expected_version
        returning version into v_version;
    end if;
    return v_version;
end
$$;

comment on function public.svc_put_integration_token(uuid, text, text, timestamptz, int) is
    'Stores tokens and returns their new version. Without a refresh token the stored one stays, because Canvas sends '
    'it only once. With p_expected_version, a stale writer or one whose row is gone changes nothing and gets null. '
    'PT404 when the integration does not exist, 23514 when a text is not an envelope.';

create function public.svc_get_integration_token(p_integration_id uuid, p_lock boolean default false)
returns table (
    integration_id uuid,
    user_id uuid,
    access_token_enc text,
    refresh_token_enc text,
    expires_at timestamptz,
    version int,
    updated_at timestamptz
)
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_user_id uuid;
begin
    select i.user_id into v_user_id from public.integrations as i
    join private.integration_tokens as t on t.integration_id = i.id
    where i.id = p_integration_id;
    if not found then
        return;
    end if;
    if p_lock then
        perform from private.integration_tokens as t where t.integration_id = p_integration_id for update;
    end if;
    perform private.write_audit('read', 'integration_tokens', p_integration_id::text, v_user_id);
    return query
    select t.integration_id, v_user_id, t.access_token_enc, t.refresh_token_enc, t.expires_at, t.version, t.updated_at
    from private.integration_tokens as t where t.integration_id = p_integration_id;
end
$$;

comment on function public.svc_get_integration_token(uuid, boolean) is
    'The encrypted tokens of an integration, or no row; audited. p_lock keeps the row locked until the transaction '
    'ends. Over REST that is this call alone; use svc_begin_token_refresh there.';

create function public.svc_delete_integration_token(p_integration_id uuid)
returns void
language sql
volatile
security definer
set search_path = ''
as $$
    delete from private.integration_tokens where integration_id = p_integration_id;
$$;

comment on function public.svc_delete_integration_token(uuid) is
    'Deletes the tokens of an integration. Safe to repeat.';

create function public.svc_begin_token_refresh(p_integration_id uuid, p_holder text, p_ttl_s int default 30)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if p_integration_id is null or p_holder is null or p_ttl_s is null then
        raise exception 'p_integration_id, p_holder and p_ttl_s must not be null' using errcode = '22004';
    end if;
    if p_ttl_s not between 1 and 600 then
        raise exception 'p_ttl_s must be between 1 and 600' using errcode = '22003';
    end if;
    update private.integration_tokens
    set refresh_holder = p_holder, refresh_until = private.clock() + make_interval(secs => p_ttl_s)
    where integration_id = p_integration_id
        and (refresh_holder is null or refresh_holder = p_holder or refresh_until <= private.clock());
    return found;
end
$$;

comment on function public.svc_begin_token_refresh(uuid, text, int) is
    'True for the one process that may refresh, for p_ttl_s seconds; repeating it extends the lease. False: another '
    'process holds the lease, or there are no tokens. Then wait and read the tokens again.';

create function public.svc_end_token_refresh(p_integration_id uuid, p_holder text)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    update private.integration_tokens set refresh_holder = null, refresh_until = null
    where integration_id = p_integration_id and refresh_holder = p_holder;
    return found;
end
$$;

comment on function public.svc_end_token_refresh(uuid, text) is
    'Gives the lease back; false when the caller does not hold it.';

-- One row per Canvas authorization that was started. Only the browser knows the state; we keep its hash and who started
-- it. A code is exchanged only for that person.

create table private.oauth_states (
    state_hash text primary key,
    user_id uuid not null,
    lms_connection_id uuid not null,
    code_verifier_enc text,
    redirect_path text,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null default now() + interval '10 minutes',
    consumed_at timestamptz,
    constraint oauth_states_user_id_fkey foreign key (user_id) references auth.users(id) on delete cascade,
    constraint oauth_states_lms_connection_id_fkey
        foreign key (lms_connection_id)
        references public.lms_connections(id) on delete cascade,
    constraint oauth_states_state_hash_check check (char_length(state_hash) between 1 and 128),
    constraint oauth_states_code_verifier_enc_check check (code_verifier_enc ~ '^v[0-9]+:'),
    constraint oauth_states_redirect_path_check check (char_length(redirect_path) <= 2000)
);

create index idx_oauth_states_user_id on private.oauth_states (user_id);
create index idx_oauth_states_lms_connection_id on private.oauth_states (lms_connection_id);
create index idx_oauth_states_expires_at on private.oauth_states (expires_at);

comment on table private.oauth_states is 'A Canvas authorization under way.';
comment on column private.oauth_states.state_hash is 'SHA-256 of the state parameter.';
comment on column private.oauth_states.user_id is 'Who started it.';
comment on column private.oauth_states.lms_connection_id is 'At which installation.';
comment on column private.oauth_states.code_verifier_enc is 'PKCE verifier, encrypted, where one is used.';
comment on column private.oauth_states.redirect_path is 'Where the browser goes afterwards; checked by the functions.';
comment on column private.oauth_states.created_at is 'When it was started.';
comment on column private.oauth_states.expires_at is 'When it stops being valid: ten minutes after the start.';
comment on column private.oauth_states.consumed_at is 'When it was used; it can be used once.';

create function public.svc_create_oauth_state(
    p_state_hash text,
    p_user_id uuid,
    p_lms_connection_id uuid,
    p_redirect_path text,
    p_code_verifier_enc text default null
)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if p_state_hash is null or p_user_id is null or p_lms_connection_id is null then
        raise exception 'p_state_hash, p_user_id and p_lms_connection_id must not be null' using errcode = '22004';
    end if;
    if not exists (select from auth.users where id = p_user_id)
        or not exists (select from public.lms_connections where id = p_lms_connection_id) then
        raise exception 'no person has the id in p_user_id, or no connection the one in p_lms_connection_id'
            using errcode = 'PT404';
    end if;
    insert into private.oauth_states (
        state_hash, user_id, lms_connection_id, redirect_path, code_verifier_enc, created_at, expires_at
    )
    values (
        p_state_hash, p_user_id, p_lms_connection_id, p_redirect_path, p_code_verifier_enc,
        private.clock(), private.clock() + interval '10 minutes'
    );
end
$$;

comment on function public.svc_create_oauth_state(text, uuid, uuid, text, text) is
    'Stores a started authorization for ten minutes. PT404 when the person or the connection does not exist.';

create function public.svc_peek_oauth_state(p_state_hash text)
returns table (
    user_id uuid,
    lms_connection_id uuid,
    redirect_path text,
    code_verifier_enc text,
    created_at timestamptz,
    expires_at timestamptz,
    consumed_at timestamptz,
    outcome text
)
language sql
stable
security definer
set search_path = ''
as $$
    select
        s.user_id, s.lms_connection_id, s.redirect_path, s.code_verifier_enc, s.created_at, s.expires_at, s.consumed_at,
        case
            when s.consumed_at is not null then 'used'
            when s.expires_at <= private.clock() then 'expired'
            else 'ok'
        end
    from private.oauth_states as s where s.state_hash = p_state_hash;
$$;

comment on function public.svc_peek_oauth_state(text) is
    'The state as it is, with outcome ok, used or expired; no row when it is unknown. Consumes nothing.';

create function public.svc_consume_oauth_state(p_state_hash text, p_user_id uuid)
returns table (
    user_id uuid,
    lms_connection_id uuid,
    redirect_path text,
    code_verifier_enc text,
    created_at timestamptz,
    expires_at timestamptz,
    outcome text
)
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_state private.oauth_states;
begin
    if p_state_hash is null or p_user_id is null then
        raise exception 'p_state_hash and p_user_id must not be null' using errcode = '22004';
    end if;
    -- of two calls at once the second waits here and finds the state used
    select * into v_state from private.oauth_states as s where s.state_hash = p_state_hash for update;
    if not found then
        return;
    end if;
    outcome := case
        when v_state.user_id <> p_user_id then 'not_yours'
        when v_state.consumed_at is not null then 'used'
        when v_state.expires_at <= private.clock() then 'expired'
        else 'ok'
    end;
    if outcome = 'ok' then
        update private.oauth_states as s set consumed_at = private.clock() where s.state_hash = p_state_hash;
        user_id := v_state.user_id;
        lms_connection_id := v_state.lms_connection_id;
        redirect_path := v_state.redirect_path;
        code_verifier_enc := v_state.code_verifier_enc;
        created_at := v_state.created_at;
        expires_at := v_state.expires_at;
    end if;
    return next;
end
$$;

comment on function public.svc_consume_oauth_state(text, uuid) is
    'Consumes a state, once, for the person who started it: outcome ok with the row. Otherwise nothing is consumed, '
    'the other columns are null and outcome says not_yours, used or expired. No row when the state is unknown.';

-- A Canvas course as one person sees it; two students of one course have two rows. Sync writes it; the person only
-- chooses which courses are synced. The catalogue is another table, catalog_courses, linked by the normalised code.

create table public.courses (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null,
    integration_id uuid not null,
    canvas_course_id bigint not null,
    canvas_id text not null,
    catalog_course_id uuid,
    name text not null,
    course_code text,
    term text,
    is_active boolean not null default true,
    raw_payload jsonb not null default '{}',
    content_hash text,
    access_restricted boolean not null default false,
    workflow_state text,
    time_zone text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint courses_canvas_id_check check (canvas_id = canvas_course_id::text),
    constraint courses_integration_id_canvas_course_id_key unique (integration_id, canvas_course_id),
    constraint courses_id_user_id_key unique (id, user_id),
    constraint courses_user_id_fkey
        foreign key (user_id)
        references public.profiles(user_id) on delete cascade,
    constraint courses_integration_id_fkey
        foreign key (integration_id, user_id)
        references public.integrations(id, user_id) on delete cascade,
    constraint courses_raw_payload_check check (jsonb_typeof(raw_payload) = 'object')
);

create index idx_courses_user_id on public.courses (user_id);
create index idx_courses_catalog_course_id on public.courses (catalog_course_id);
create index idx_courses_integration_id on public.courses (integration_id, user_id);

comment on table public.courses is 'A person''s Canvas course.';
comment on column public.courses.id is 'Key.';
comment on column public.courses.user_id is 'Whose course.';
comment on column public.courses.integration_id is 'The grant it came through; a Canvas id means nothing without it.';
comment on column public.courses.canvas_course_id is 'Id in Canvas. It may exceed 2^53: JavaScript reads canvas_id.';
comment on column public.courses.canvas_id is 'The same id as text, kept equal: JavaScript rounds numbers past 2^53.';
comment on column public.courses.catalog_course_id is 'The same course in our catalogue, if the code is known there.';
comment on column public.courses.name is 'Its name; the code, or Course <canvas id>, where Canvas has none.';
comment on column public.courses.course_code is 'Code as Canvas gives it.';
comment on column public.courses.term is 'Name of the term.';
comment on column public.courses.is_active is 'Synced and shown; the person may switch it off.';
comment on column public.courses.raw_payload is 'What Canvas sent, without enrolments and other people''s records.';
comment on column public.courses.content_hash is 'Hash of the fields that count as content; sync skips an equal one.';
comment on column public.courses.access_restricted is
    'Canvas shows only a stub now; the other columns are from before.';
comment on column public.courses.workflow_state is 'State in Canvas: available, completed, deleted and others.';
comment on column public.courses.time_zone is 'IANA name of the course''s zone, for due dates.';
comment on column public.courses.created_at is 'When sync first saw it.';
comment on column public.courses.updated_at is 'When the row last changed.';

create trigger trg_courses_columns before update on public.courses
for each row execute function private.keep_columns('is_active');
create trigger trg_courses_text_id before insert or update of canvas_course_id, canvas_id on public.courses
for each row execute function private.keep_canvas_id('canvas_course_id');
create trigger trg_courses_updated_at before update on public.courses
for each row execute function public.set_updated_at();

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
    due_at timestamptz,
    unlock_at timestamptz,
    lock_at timestamptz,
    points_possible numeric,
    submission_types text[] not null default '{}',
    position int,
    canvas_url text,
    published_at timestamptz,
    status public.assignment_status not null default 'open',
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
comment on column public.assignments.due_at is 'When it is due for this person.';
comment on column public.assignments.unlock_at is 'When it opens for this person.';
comment on column public.assignments.lock_at is 'When it closes for this person.';
comment on column public.assignments.points_possible is 'The most points it can bring.';
comment on column public.assignments.submission_types is 'How it can be handed in, as Canvas names it.';
comment on column public.assignments.position is 'Its position within its group.';
comment on column public.assignments.canvas_url is 'Its page in Canvas.';
comment on column public.assignments.published_at is 'When the teacher published it, where Canvas says so.';
comment on column public.assignments.status is 'Its state for this person; follows Canvas.';
comment on column public.assignments.submission is
    'The person''s own submission: workflow_state, submitted_at, score, late, missing, excused; null where there is '
    'none.';
comment on column public.assignments.raw_payload is
    'What Canvas sent, without other people''s records and signed parts.';
comment on column public.assignments.content_hash is
    'Hash of the fields that count as content; sync skips an equal one.';
comment on column public.assignments.html_hash is 'Hash of the sanitised description; changes when the task changes.';
comment on column public.assignments.last_synced_at is 'When sync last wrote the row.';
comment on column public.assignments.created_at is 'When sync first saw it.';
comment on column public.assignments.updated_at is 'When the row last changed.';

create trigger trg_assignments_text_id before insert or update of canvas_assignment_id, canvas_id on public.assignments
for each row execute function private.keep_canvas_id('canvas_assignment_id');
create trigger trg_assignments_updated_at before update on public.assignments
for each row execute function public.set_updated_at();

-- How far the sync of each course has come: decides which course is next, and shows why one is not up to date. Sync
-- writes it with each page. A killed run lists the course again from its first page. The cursor counts rows and does
-- not name them, so a listing begun in the middle could not tell what is missing. Links to a later page may have
-- expired by then, and rows with an unchanged hash cost no write.

create table public.course_sync_state (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null,
    course_id uuid not null,
    cursor jsonb not null default '{}',
    last_polled_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint course_sync_state_course_id_key unique (course_id),
    constraint course_sync_state_user_id_fkey
        foreign key (user_id)
        references public.profiles(user_id) on delete cascade,
    constraint course_sync_state_course_id_fkey
        foreign key (course_id, user_id)
        references public.courses(id, user_id) on delete cascade,
    constraint course_sync_state_cursor_check check (jsonb_typeof(cursor) = 'object')
);

create index idx_course_sync_state_user_id on public.course_sync_state (user_id);
create index idx_course_sync_state_course_id on public.course_sync_state (course_id, user_id);
-- for choosing the next course: those never polled come first
create index idx_course_sync_state_last_polled_at on public.course_sync_state (last_polled_at nulls first);

comment on table public.course_sync_state is 'Progress of the sync of one course.';
comment on column public.course_sync_state.id is 'Key.';
comment on column public.course_sync_state.user_id is 'Whose course.';
comment on column public.course_sync_state.course_id is 'Which course.';
comment on column public.course_sync_state.cursor is 'Keys run, listing, next, seen, complete_at.';
comment on column public.course_sync_state.last_polled_at is 'When Canvas was last asked about it.';
comment on column public.course_sync_state.created_at is 'When it was first synced.';
comment on column public.course_sync_state.updated_at is 'When the row last changed.';

create trigger trg_course_sync_state_updated_at before update on public.course_sync_state
for each row execute function public.set_updated_at();

-- A platform of LTI 1.3 whose signatures we trust. The issuer alone does not identify it: self-hosted Canvas keeps
-- Instructure's issuer string with its own keys, so a platform is the pair of issuer and key set.

create table private.lti_platforms (
    id uuid primary key default gen_random_uuid(),
    issuer text not null,
    jwks_url text not null,
    auth_url text not null,
    token_url text not null,
    name text not null,
    hosts text[] not null default '{}',
    status text not null default 'pending',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint lti_platforms_issuer_jwks_url_key unique (issuer, jwks_url),
    constraint lti_platforms_issuer_check check (char_length(issuer) between 1 and 2000),
    -- plain http only to a loopback host, for tests and the demo
    constraint lti_platforms_jwks_url_check
        check (jwks_url ~ '^(https://|http://(localhost|127\.0\.0\.1)(:[0-9]+)?/)' and char_length(jwks_url) <= 2000),
    constraint lti_platforms_auth_url_check
        check (auth_url ~ '^(https://|http://(localhost|127\.0\.0\.1)(:[0-9]+)?/)' and char_length(auth_url) <= 2000),
    constraint lti_platforms_token_url_check
        check (token_url ~ '^(https://|http://(localhost|127\.0\.0\.1)(:[0-9]+)?/)' and char_length(token_url) <= 2000),
    constraint lti_platforms_name_check check (char_length(name) between 1 and 200),
    constraint lti_platforms_status_check check (status in ('pending', 'active', 'disabled'))
);

comment on table private.lti_platforms is 'A learning platform whose launches we can verify.';
comment on column private.lti_platforms.id is 'Key.';
comment on column private.lti_platforms.issuer is 'The iss claim of its tokens.';
comment on column private.lti_platforms.jwks_url is 'Where its public keys are.';
comment on column private.lti_platforms.auth_url is 'Where a launch is authorized; the browser goes there.';
comment on column private.lti_platforms.token_url is 'Where we get tokens for its services.';
comment on column private.lti_platforms.name is 'What people call it.';
comment on column private.lti_platforms.hosts is 'Hosts that may show us in a frame.';
comment on column private.lti_platforms.status is 'pending: asked for. active: launches work. disabled: none do.';
comment on column private.lti_platforms.created_at is 'When it was registered.';
comment on column private.lti_platforms.updated_at is 'When the row last changed.';

create trigger trg_lti_platforms_updated_at before update on private.lti_platforms
for each row execute function public.set_updated_at();

-- Our developer key at a platform.

create table private.lti_registrations (
    id uuid primary key default gen_random_uuid(),
    platform_id uuid not null,
    client_id text not null,
    status text not null default 'pending',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint lti_registrations_platform_id_client_id_key unique (platform_id, client_id),
    constraint lti_registrations_platform_id_fkey
        foreign key (platform_id)
        references private.lti_platforms(id) on delete cascade,
    constraint lti_registrations_client_id_check check (char_length(client_id) between 1 and 255),
    constraint lti_registrations_status_check check (status in ('pending', 'active', 'disabled'))
);

comment on table private.lti_registrations is 'Our client at a platform.';
comment on column private.lti_registrations.id is 'Key.';
comment on column private.lti_registrations.platform_id is 'At which platform.';
comment on column private.lti_registrations.client_id is 'The id the platform gave us; the aud claim of its tokens.';
comment on column private.lti_registrations.status is 'pending: waits for staff. active. disabled.';
comment on column private.lti_registrations.created_at is 'When it was registered.';
comment on column private.lti_registrations.updated_at is 'When the row last changed.';

create trigger trg_lti_registrations_updated_at before update on private.lti_registrations
for each row execute function public.set_updated_at();

-- One deployment of our tool at a platform, and the school it belongs to. Two schools can share a registration.

create table private.lti_deployments (
    id uuid primary key default gen_random_uuid(),
    registration_id uuid not null,
    deployment_id text not null,
    lms_connection_id uuid not null,
    status text not null default 'pending',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint lti_deployments_registration_id_deployment_id_key unique (registration_id, deployment_id),
    constraint lti_deployments_registration_id_fkey
        foreign key (registration_id)
        references private.lti_registrations(id) on delete cascade,
    constraint lti_deployments_lms_connection_id_fkey
        foreign key (lms_connection_id)
        references public.lms_connections(id) on delete restrict,
    constraint lti_deployments_deployment_id_check check (char_length(deployment_id) between 1 and 255),
    constraint lti_deployments_status_check check (status in ('pending', 'active', 'disabled'))
);

create index idx_lti_deployments_lms_connection_id on private.lti_deployments (lms_connection_id);

comment on table private.lti_deployments is 'One installation of our tool at a platform.';
comment on column private.lti_deployments.id is 'Key.';
comment on column private.lti_deployments.registration_id is 'Under which client.';
comment on column private.lti_deployments.deployment_id is 'The platform''s id of it.';
comment on column private.lti_deployments.lms_connection_id is 'The school''s installation of Canvas it belongs to.';
comment on column private.lti_deployments.status is
    'pending. active: launches work. disabled: refused, also between launch and session.';
comment on column private.lti_deployments.created_at is 'When it was registered.';
comment on column private.lti_deployments.updated_at is 'When the row last changed.';

create trigger trg_lti_deployments_updated_at before update on private.lti_deployments
for each row execute function public.set_updated_at();

-- Which account belongs to a platform's person. The id is reserved before the account is made, so that two first
-- launches at once make one account. So there is no foreign key; a trigger on auth.users does the cascade. A
-- reservation without an account lasts a day.

create table private.lti_identities (
    id uuid primary key default gen_random_uuid(),
    platform_id uuid not null,
    sub text not null,
    user_id uuid not null,
    created_at timestamptz not null default now(),
    constraint lti_identities_platform_id_sub_key unique (platform_id, sub),
    constraint lti_identities_platform_id_fkey
        foreign key (platform_id)
        references private.lti_platforms(id) on delete cascade,
    constraint lti_identities_sub_check check (char_length(sub) between 1 and 255)
);

create index idx_lti_identities_user_id on private.lti_identities (user_id);

comment on table private.lti_identities is 'A platform''s person and the account they have here.';
comment on column private.lti_identities.id is 'Key.';
comment on column private.lti_identities.platform_id is 'Which platform.';
comment on column private.lti_identities.sub is 'The person''s id at the platform.';
comment on column private.lti_identities.user_id is
    'The account, or the id reserved for it; no foreign key on purpose.';
comment on column private.lti_identities.created_at is 'When the person first launched.';

create function private.delete_lti_identities()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    delete from private.lti_identities where user_id = old.id;
    return null;
end
$$;

comment on function private.delete_lti_identities() is
    'AFTER DELETE on auth.users: deletes the account''s identities, as a cascade would.';

create trigger trg_users_lti_identities after delete on auth.users
for each row execute function private.delete_lti_identities();

-- The roles a person had in a course of the platform at the last launch. Rights to rosters and scores come from here,
-- not from a token, which may be an hour old.

create table private.lti_memberships (
    deployment_id uuid not null,
    context_id text not null,
    user_id uuid not null,
    roles text[] not null default '{}',
    seen_at timestamptz not null default now(),
    primary key (deployment_id, context_id, user_id),
    constraint lti_memberships_deployment_id_fkey
        foreign key (deployment_id)
        references private.lti_deployments(id) on delete cascade,
    constraint lti_memberships_user_id_fkey foreign key (user_id) references auth.users(id) on delete cascade,
    constraint lti_memberships_context_id_check check (char_length(context_id) between 1 and 255)
);

create index idx_lti_memberships_user_id on private.lti_memberships (user_id);

comment on table private.lti_memberships is 'A person''s roles in a context of a platform, as of the last launch.';
comment on column private.lti_memberships.deployment_id is 'Where the launch came from.';
comment on column private.lti_memberships.context_id is 'The platform''s id of the course.';
comment on column private.lti_memberships.user_id is 'Our account.';
comment on column private.lti_memberships.roles is 'Context role URIs of the launch.';
comment on column private.lti_memberships.seen_at is 'When the person last launched.';

-- One row per LTI login under way. It ties the launch to the login (state) and to the browser (binding).

create table private.lti_states (
    state_hash text primary key,
    nonce text not null,
    registration_id uuid not null,
    deployment_hint text,
    target_link_uri text not null,
    binding_hash text not null,
    storage_target text,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null default now() + interval '10 minutes',
    used_at timestamptz,
    constraint lti_states_registration_id_fkey
        foreign key (registration_id)
        references private.lti_registrations(id) on delete cascade,
    constraint lti_states_deployment_hint_check check (char_length(deployment_hint) <= 255),
    constraint lti_states_target_link_uri_check check (char_length(target_link_uri) <= 2000),
    constraint lti_states_storage_target_check check (char_length(storage_target) <= 255)
);

create index idx_lti_states_registration_id on private.lti_states (registration_id);
create index idx_lti_states_expires_at on private.lti_states (expires_at);

comment on table private.lti_states is 'An LTI login under way.';
comment on column private.lti_states.state_hash is 'SHA-256 of the state parameter.';
comment on column private.lti_states.nonce is 'Must come back inside the token.';
comment on column private.lti_states.registration_id is 'The registration whose platform must have signed the token.';
comment on column private.lti_states.deployment_hint is 'Deployment named at login; the token must name the same.';
comment on column private.lti_states.target_link_uri is 'Page asked for at login; the token must ask for the same.';
comment on column private.lti_states.binding_hash is 'SHA-256 of the secret this browser keeps.';
comment on column private.lti_states.storage_target is 'Frame of platform storage, where the platform offers it.';
comment on column private.lti_states.created_at is 'When the login began.';
comment on column private.lti_states.expires_at is 'When it stops being valid.';
comment on column private.lti_states.used_at is 'When the launch came; it can be used once.';

-- A verified launch, for the calls that follow from it (deep links, rosters, scores). The service removes names,
-- addresses and other personal data from the claims before it stores them.

create table private.lti_launches (
    id uuid primary key default gen_random_uuid(),
    identity_id uuid not null,
    deployment_id uuid not null,
    context_id text,
    message_type text not null,
    claims jsonb not null default '{}',
    expires_at timestamptz not null,
    created_at timestamptz not null default now(),
    constraint lti_launches_identity_id_fkey
        foreign key (identity_id)
        references private.lti_identities(id) on delete cascade,
    constraint lti_launches_deployment_id_fkey
        foreign key (deployment_id)
        references private.lti_deployments(id) on delete cascade,
    constraint lti_launches_context_id_check check (char_length(context_id) between 1 and 255),
    constraint lti_launches_claims_check check (jsonb_typeof(claims) = 'object')
);

create index idx_lti_launches_identity_id on private.lti_launches (identity_id);
create index idx_lti_launches_deployment_id on private.lti_launches (deployment_id);
create index idx_lti_launches_expires_at on private.lti_launches (expires_at);

comment on table private.lti_launches is 'A launch that was verified.';
comment on column private.lti_launches.id is 'Key; the front end knows it.';
comment on column private.lti_launches.identity_id is 'Who launched.';
comment on column private.lti_launches.deployment_id is 'The deployment it came from.';
comment on column private.lti_launches.context_id is 'The platform''s id of the course, if there was one.';
comment on column private.lti_launches.message_type is 'LtiResourceLinkRequest or LtiDeepLinkingRequest.';
comment on column private.lti_launches.claims is 'Claims needed later, without personal data.';
comment on column private.lti_launches.expires_at is 'When it can no longer be used.';
comment on column private.lti_launches.created_at is 'When it was verified.';

-- The short-lived proof that a launch gives the browser, exchanged once for a session. Only its hash is stored.

create table private.lti_tickets (
    ticket_hash text primary key,
    launch_id uuid not null,
    binding_hash text not null,
    expires_at timestamptz not null,
    used_at timestamptz,
    constraint lti_tickets_launch_id_fkey
        foreign key (launch_id)
        references private.lti_launches(id) on delete cascade
);

create index idx_lti_tickets_launch_id on private.lti_tickets (launch_id);
create index idx_lti_tickets_expires_at on private.lti_tickets (expires_at);

comment on table private.lti_tickets is 'A launch waiting to become a session.';
comment on column private.lti_tickets.ticket_hash is 'SHA-256 of the ticket.';
comment on column private.lti_tickets.launch_id is 'Which launch.';
comment on column private.lti_tickets.binding_hash is 'SHA-256 of the secret the browser must show.';
comment on column private.lti_tickets.expires_at is 'When it stops being valid.';
comment on column private.lti_tickets.used_at is 'When it was exchanged; it can be used once.';

-- The keys we sign with for platforms (deep links, service tokens). A retired key stays published as long as tokens
-- signed with it may be in use.

create table private.lti_signing_keys (
    kid text primary key,
    private_key_enc text not null,
    public_jwk jsonb not null,
    status text not null default 'active',
    created_at timestamptz not null default now(),
    constraint lti_signing_keys_private_key_enc_check check (private_key_enc ~ '^v[0-9]+:'),
    constraint lti_signing_keys_public_jwk_check check (jsonb_typeof(public_jwk) = 'object' and not public_jwk ? 'd'),
    constraint lti_signing_keys_status_check check (status in ('active', 'retired'))
);

comment on table private.lti_signing_keys is 'A key pair of our tool.';
comment on column private.lti_signing_keys.kid is 'Key id, as published.';
comment on column private.lti_signing_keys.private_key_enc is 'Envelope v<key number>:<base64url> of the private key.';
comment on column private.lti_signing_keys.public_jwk is 'The public half, as in our key set.';
comment on column private.lti_signing_keys.status is 'active: signs. retired: published only.';
comment on column private.lti_signing_keys.created_at is 'When it was made.';

-- The registry of LTI platforms, which staff keep through the service. What staff register is active at once. Dynamic
-- registration, which a platform starts, leaves pending rows that wait for svc_set_lti_status.

create function public.svc_register_lti_platform(
    p_issuer text,
    p_jwks_url text,
    p_auth_url text,
    p_token_url text,
    p_name text
)
returns uuid
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_id uuid;
begin
    if p_issuer is null or p_jwks_url is null or p_auth_url is null or p_token_url is null or p_name is null then
        raise exception 'p_issuer, p_jwks_url, p_auth_url, p_token_url and p_name must not be null'
            using errcode = '22004';
    end if;
    insert into private.lti_platforms (issuer, jwks_url, auth_url, token_url, name, status)
    values (p_issuer, p_jwks_url, p_auth_url, p_token_url, p_name, 'active')
    on conflict (issuer, jwks_url) do update
    set auth_url = excluded.auth_url, token_url = excluded.token_url, name = excluded.name
    returning id into v_id;
    return v_id;
end
$$;

comment on function public.svc_register_lti_platform(text, text, text, text, text) is
    'Registers a platform and returns its id. Repeating it with the same issuer and key set updates the other '
    'addresses and leaves the status as it is. 23514 for an address that is neither https nor a loopback host.';

create function public.svc_register_lti_client(p_platform_id uuid, p_client_id text)
returns uuid
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_id uuid;
begin
    if p_platform_id is null or p_client_id is null then
        raise exception 'p_platform_id and p_client_id must not be null' using errcode = '22004';
    end if;
    if not exists (select from private.lti_platforms where id = p_platform_id) then
        raise exception 'no platform has the id in p_platform_id' using errcode = 'PT404';
    end if;
    insert into private.lti_registrations (platform_id, client_id, status)
    values (p_platform_id, p_client_id, 'active')
    on conflict (platform_id, client_id) do nothing;
    select id into v_id from private.lti_registrations
    where platform_id = p_platform_id and client_id = p_client_id;
    return v_id;
end
$$;

comment on function public.svc_register_lti_client(uuid, text) is
    'Registers our client at a platform and returns the registration''s id. Safe to repeat. PT404 when the platform '
    'does not exist.';

create function public.svc_register_lti_deployment(
    p_registration_id uuid,
    p_deployment_id text,
    p_lms_connection_id uuid
)
returns uuid
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_row private.lti_deployments;
begin
    if p_registration_id is null or p_deployment_id is null or p_lms_connection_id is null then
        raise exception 'p_registration_id, p_deployment_id and p_lms_connection_id must not be null'
            using errcode = '22004';
    end if;
    if not exists (select from private.lti_registrations where id = p_registration_id)
        or not exists (select from public.lms_connections where id = p_lms_connection_id) then
        raise exception 'no registration has p_registration_id as its id, or no connection p_lms_connection_id'
            using errcode = 'PT404';
    end if;
    insert into private.lti_deployments (registration_id, deployment_id, lms_connection_id, status)
    values (p_registration_id, p_deployment_id, p_lms_connection_id, 'active')
    on conflict (registration_id, deployment_id) do nothing;
    select * into v_row from private.lti_deployments
    where registration_id = p_registration_id and deployment_id = p_deployment_id;
    -- teachers and courses of a deployment belong to its school, so a repeated call must not move it to another one
    if v_row.lms_connection_id <> p_lms_connection_id then
        raise exception 'the deployment belongs to another connection' using errcode = 'PT409',
            hint = 'Check p_lms_connection_id; a deployment cannot move to another school.';
    end if;
    return v_row.id;
end
$$;

comment on function public.svc_register_lti_deployment(uuid, text, uuid) is
    'Registers a deployment for a school''s connection and returns its id. Safe to repeat. PT404 when the '
    'registration or the connection does not exist, PT409 when the deployment belongs to another connection.';

create function public.svc_set_lti_status(p_kind text, p_id uuid, p_status text)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if p_kind is null or p_id is null or p_status is null then
        raise exception 'p_kind, p_id and p_status must not be null' using errcode = '22004';
    end if;
    if p_status not in ('pending', 'active', 'disabled') then
        raise exception 'p_status must be pending, active or disabled' using errcode = '22023';
    end if;
    case p_kind
        when 'platform' then
            update private.lti_platforms set status = p_status where id = p_id;
        when 'registration' then
            update private.lti_registrations set status = p_status where id = p_id;
        when 'deployment' then
            update private.lti_deployments set status = p_status where id = p_id;
        else
            raise exception 'p_kind must be platform, registration or deployment' using errcode = '22023';
    end case;
    if not found then
        raise exception 'no % has the id in p_id', p_kind using errcode = 'PT404';
    end if;
    perform private.write_audit(
        'set_status', 'lti_' || p_kind || 's', p_id::text, null, jsonb_build_object('status', p_status)
    );
end
$$;

comment on function public.svc_set_lti_status(text, uuid, text) is
    'Sets a platform, registration or deployment to pending, active or disabled; audited. PT404 when the row does not '
    'exist, 22023 for an unknown kind or status.';

-- The writes of canvas-oauth and canvas-sync. Each REST call is a transaction of its own, so a change of several rows
-- is one function here. They are for the service alone, which checks ownership before it calls.
--
--   connect     grant -> integrations + private.integration_tokens + first job
--   course list -> svc_apply_courses -> (missing ones looked at again) -> svc_mark_course
--   page of assignments -> svc_apply_assignments, with the cursor -> svc_missing_assignments
--               -> (looked at again) -> svc_finish_assignments
--
-- Rows with an unchanged hash are not touched: a run without news writes nothing to courses and assignments.

create function public.svc_connect_integration(
    p_integration_id uuid,
    p_user_id uuid,
    p_lms_connection_id uuid,
    p_external_user_id text,
    p_scopes text[],
    p_access_token_enc text,
    p_refresh_token_enc text default null,
    p_expires_at timestamptz default null
)
returns table (integration_id uuid, outcome text, job_id uuid)
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_domain text;
    v_id uuid;
begin
    if p_integration_id is null or p_user_id is null or p_lms_connection_id is null or p_external_user_id is null
        or p_scopes is null or p_access_token_enc is null then
        raise exception 'of the parameters only p_refresh_token_enc and p_expires_at may be null'
            using errcode = '22004';
    end if;
    perform private.check_time('p_expires_at', p_expires_at);
    select c.instance_domain into v_domain from public.lms_connections as c
    where c.id = p_lms_connection_id and c.provider = 'canvas' and c.status = 'active';
    if not found then
        raise exception 'no active connection has the id in p_lms_connection_id' using errcode = 'PT404';
    end if;
    -- two browser tabs of one person may finish at the same time: the lock puts one after the other
    perform from public.profiles as p where p.user_id = p_user_id for no key update;
    select i.id into v_id from public.integrations as i
    where i.user_id = p_user_id and i.provider = 'canvas' and i.instance_domain = v_domain
    for update;
    if v_id <> p_integration_id then
        -- the envelopes are bound to the integration's id: the caller must seal them again for this one
        return query select v_id, 'other_id'::text, null::uuid;
        return;
    end if;
    begin
        if v_id is null then
            insert into public.integrations (
                id, user_id, provider, lms_connection_id, instance_domain, external_user_id, status, scopes
            )
            values (
                p_integration_id, p_user_id, 'canvas', p_lms_connection_id, v_domain, p_external_user_id, 'connected',
                p_scopes
            );
        else
            update public.integrations as i
            set lms_connection_id = p_lms_connection_id,
                external_user_id = p_external_user_id,
                status = 'connected',
                scopes = p_scopes
            where i.id = v_id;
        end if;
    exception when unique_violation then
        return query select null::uuid, 'in_use'::text, null::uuid;
        return;
    end;
    -- a new grant replaces both tokens: the refresh token of an older one must not outlive it
    insert into private.integration_tokens as t (integration_id, access_token_enc, refresh_token_enc, expires_at)
    values (p_integration_id, p_access_token_enc, p_refresh_token_enc, p_expires_at)
    on conflict on constraint integration_tokens_pkey do update
    set access_token_enc = excluded.access_token_enc,
        refresh_token_enc = excluded.refresh_token_enc,
        expires_at = excluded.expires_at,
        version = t.version + 1;
    return query
    select p_integration_id, 'connected'::text, j.job_id
    from public.svc_enqueue_job(
        p_type => 'canvas_sync',
        p_payload => jsonb_build_object('integration_ids', jsonb_build_array(p_integration_id)),
        p_user_id => p_user_id,
        p_dedupe_key => 'canvas_sync:' || p_integration_id
    ) as j;
end
$$;

comment on function public.svc_connect_integration(uuid, uuid, uuid, text, text[], text, text, timestamptz) is
    'Stores a grant: connects the integration, stores its tokens, enqueues its first sync. outcome connected; '
    'other_id when the person already has an integration there under the returned id (seal the tokens for it and call '
    'again); in_use when another account has connected that Canvas person. Only connected stores anything. PT404 '
    'without an active connection.';

create function public.svc_disconnect_integration(p_integration_id uuid)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    delete from private.integration_tokens where integration_id = p_integration_id;
    update public.integrations set status = 'revoked' where id = p_integration_id and status <> 'revoked';
end
$$;

comment on function public.svc_disconnect_integration(uuid) is
    'Deletes the tokens and revokes the integration; courses stay. Safe to repeat.';

create function public.svc_expire_integration(p_integration_id uuid)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_user_id uuid;
begin
    update public.integrations set status = 'expired'
    where id = p_integration_id and status = 'connected'
    returning user_id into v_user_id;
    if not found then
        return false;
    end if;
    insert into public.notifications (user_id, type, status, title, body, payload, created_at)
    values (
        v_user_id,
        'integration_error',
        'sent',
        'Connect Canvas again',
        'Canvas no longer accepts the permission you gave. Your courses stay; connect again to keep them up to date.',
        jsonb_build_object('integration_id', p_integration_id, 'code', 'reauthorization_required'),
        private.clock()
    );
    return true;
end
$$;

comment on function public.svc_expire_integration(uuid) is
    'Canvas refuses the grant: a connected integration becomes expired and its owner gets one notification. False, '
    'and no second notification, when it was not connected.';

create function public.svc_apply_courses(p_integration_id uuid, p_courses jsonb)
returns table (course_id uuid, canvas_course_id bigint, outcome text, is_active boolean, workflow_state text)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_user_id uuid;
begin
    select user_id into v_user_id from public.integrations where id = p_integration_id;
    if not found then
        raise exception 'no integration has the id in p_integration_id' using errcode = 'PT404';
    end if;
    if jsonb_typeof(p_courses) is distinct from 'array' then
        raise exception 'p_courses must be a JSON array' using errcode = '22023';
    end if;
    return query
    with given as (
        select g.*
        from jsonb_to_recordset(p_courses) as g (
            canvas_course_id bigint, name text, course_code text, term text, workflow_state text, time_zone text,
            raw_payload jsonb, content_hash text, access_restricted boolean
        )
    ),
    known as (
        select g.*, c.id as old_id,
            case
                when c.id is null then 'inserted'
                when g.access_restricted and c.access_restricted then 'unchanged'
                when g.access_restricted then 'updated'
                when c.content_hash is distinct from g.content_hash or c.access_restricted then 'updated'
                when c.workflow_state is distinct from g.workflow_state then 'updated'
                else 'unchanged'
            end as outcome
        from given as g
        left join public.courses as c
            on c.integration_id = p_integration_id and c.canvas_course_id = g.canvas_course_id
    ),
    written as (
        insert into public.courses as c (
            user_id, integration_id, canvas_course_id, catalog_course_id, name, course_code, term, workflow_state,
            time_zone, raw_payload, content_hash, access_restricted
        )
        select
            v_user_id, p_integration_id, k.canvas_course_id, k_catalog.id, k.name, k.course_code, k.term,
            k.workflow_state, k.time_zone, coalesce(k.raw_payload, '{}'), k.content_hash, k.access_restricted
        from known as k
        left join public.catalog_courses as k_catalog
            on k_catalog.code = public.normalize_course_code(k.course_code)
        where k.outcome <> 'unchanged'
        order by k.canvas_course_id
        on conflict on constraint courses_integration_id_canvas_course_id_key do update
        -- Canvas shows a course that is closed to the person as a stub of id and access_restricted_by_date, so what is
        -- known from before stays
        set name = case when excluded.access_restricted then c.name else excluded.name end,
            course_code = case when excluded.access_restricted then c.course_code else excluded.course_code end,
            term = case when excluded.access_restricted then c.term else excluded.term end,
            workflow_state = case
                when excluded.access_restricted then c.workflow_state
                else excluded.workflow_state
            end,
            time_zone = case when excluded.access_restricted then c.time_zone else excluded.time_zone end,
            raw_payload = case when excluded.access_restricted then c.raw_payload else excluded.raw_payload end,
            content_hash = case when excluded.access_restricted then c.content_hash else excluded.content_hash end,
            catalog_course_id = coalesce(c.catalog_course_id, excluded.catalog_course_id),
            -- a course that comes back after its deletion is active again; one that the person switched off stays off
            is_active = c.is_active or (c.workflow_state = 'deleted' and not excluded.access_restricted),
            access_restricted = excluded.access_restricted
        returning c.id, c.canvas_course_id, c.is_active, c.workflow_state
    )
    select
        coalesce(w.id, k.old_id),
        k.canvas_course_id,
        case when k.access_restricted then 'restricted' else k.outcome end,
        coalesce(w.is_active, c.is_active),
        coalesce(w.workflow_state, c.workflow_state)
    from known as k
    left join written as w on w.canvas_course_id = k.canvas_course_id
    left join public.courses as c on c.id = k.old_id
    order by k.canvas_course_id;
end
$$;

comment on function public.svc_apply_courses(uuid, jsonb) is
    'Stores the courses of one page of the list, each once: keys canvas_course_id, name, course_code, term, '
    'workflow_state, time_zone, raw_payload, content_hash, access_restricted. Returns the outcome of each: inserted, '
    'updated, unchanged or restricted. A restricted one changes only its flag. PT404 when the integration does not '
    'exist.';

create function public.svc_missing_courses(p_integration_id uuid, p_seen bigint[])
returns jsonb
language sql
stable
security definer
set search_path = ''
as $$
    select coalesce(
        jsonb_agg(
            jsonb_build_object('course_id', id, 'canvas_course_id', canvas_course_id::text) order by canvas_course_id
        ),
        '[]'
    )
    from public.courses
    where integration_id = p_integration_id
        and canvas_course_id <> all (p_seen)
        and workflow_state is distinct from 'deleted'
        and workflow_state is distinct from 'completed'
        and not access_restricted;
$$;

comment on function public.svc_missing_courses(uuid, bigint[]) is
    'Courses that a complete list did not contain and that are not yet known to be over: [{course_id, '
    'canvas_course_id}].';

create function public.svc_mark_course(
    p_course_id uuid,
    p_workflow_state text default null,
    p_restricted boolean default false
)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    update public.courses
    set workflow_state = coalesce(p_workflow_state, workflow_state),
        access_restricted = p_restricted,
        is_active = is_active and p_workflow_state is distinct from 'deleted'
    where id = p_course_id
        and (
            workflow_state is distinct from coalesce(p_workflow_state, workflow_state)
            or access_restricted is distinct from p_restricted
        );
    return found;
end
$$;

comment on function public.svc_mark_course(uuid, text, boolean) is
    'Stores what a second look at a missing course showed: completed, deleted (no longer active) or closed to this '
    'person. Rows of the course stay. False when it was known before.';

create function public.svc_apply_assignments(p_course_id uuid, p_assignments jsonb, p_cursor jsonb)
returns table (seen int, inserted int, updated int, unchanged int, restored int)
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_user_id uuid;
begin
    select c.user_id into v_user_id from public.courses as c where c.id = p_course_id;
    if not found then
        raise exception 'no course has the id in p_course_id' using errcode = 'PT404';
    end if;
    if jsonb_typeof(p_assignments) is distinct from 'array' then
        raise exception 'p_assignments must be a JSON array' using errcode = '22023';
    end if;
    return query
    with given as (
        select g.*
        from jsonb_to_recordset(p_assignments) as g (
            canvas_assignment_id bigint, title text, description_html text, due_at timestamptz, unlock_at timestamptz,
            lock_at timestamptz, points_possible numeric, submission_types text[], position int, canvas_url text,
            published_at timestamptz, status public.assignment_status, submission jsonb, raw_payload jsonb,
            content_hash text, html_hash text
        )
    ),
    known as (
        select g.*,
            case
                when a.id is null then 'inserted'
                when a.status = 'removed' then 'restored'
                when a.content_hash is distinct from g.content_hash then 'updated'
                else 'unchanged'
            end as outcome
        from given as g
        left join public.assignments as a
            on a.course_id = p_course_id and a.canvas_assignment_id = g.canvas_assignment_id
    ),
    written as (
        insert into public.assignments as a (
            user_id, course_id, canvas_assignment_id, title, description_html, due_at, unlock_at, lock_at,
            points_possible, submission_types, position, canvas_url, published_at, status, submission, raw_payload,
            content_hash, html_hash, last_synced_at
        )
        select
            v_user_id, p_course_id, k.canvas_assignment_id, k.title, k.description_html,
            k.due_at, k.unlock_at, k.lock_at,
            k.points_possible, coalesce(k.submission_types, '{}'), k.position, k.canvas_url, k.published_at, k.status,
            nullif(k.submission, 'null'), coalesce(k.raw_payload, '{}'), k.content_hash, k.html_hash, private.clock()
        from known as k
        where k.outcome <> 'unchanged'
        order by k.canvas_assignment_id
        on conflict on constraint assignments_course_id_canvas_assignment_id_key do update
        set title = excluded.title,
            description_html = excluded.description_html,
            due_at = excluded.due_at,
            unlock_at = excluded.unlock_at,
            lock_at = excluded.lock_at,
            points_possible = excluded.points_possible,
            submission_types = excluded.submission_types,
            position = excluded.position,
            canvas_url = excluded.canvas_url,
            published_at = coalesce(excluded.published_at, a.published_at),
            status = excluded.status,
            submission = excluded.submission,
            raw_payload = excluded.raw_payload,
            content_hash = excluded.content_hash,
            html_hash = excluded.html_hash,
            last_synced_at = excluded.last_synced_at
        returning a.id
    ),
    cursor_kept as (
        insert into public.course_sync_state as s (user_id, course_id, cursor, last_polled_at)
        values (v_user_id, p_course_id, p_cursor, private.clock())
        on conflict on constraint course_sync_state_course_id_key do update
        set cursor = excluded.cursor, last_polled_at = excluded.last_polled_at
        returning s.id
    )
    select
        count(*)::int,
        (count(*) filter (where k.outcome = 'inserted'))::int,
        (count(*) filter (where k.outcome = 'updated'))::int,
        (count(*) filter (where k.outcome = 'unchanged'))::int,
        (count(*) filter (where k.outcome = 'restored'))::int
    from known as k;
end
$$;

comment on function public.svc_apply_assignments(uuid, jsonb, jsonb) is
    'Stores the assignments of one page, each once, with the table''s columns as keys, and the cursor with them. Rows '
    'with an unchanged hash are not touched. A removed one that reappears is restored with the same id. Returns the '
    'counts. PT404 when the course does not exist.';

create function public.svc_missing_assignments(p_course_id uuid, p_seen bigint[])
returns bigint[]
language sql
stable
security definer
set search_path = ''
as $$
    select coalesce(array_agg(canvas_assignment_id order by canvas_assignment_id), '{}')
    from public.assignments
    where course_id = p_course_id and status <> 'removed' and canvas_assignment_id <> all (p_seen);
$$;

comment on function public.svc_missing_assignments(uuid, bigint[]) is
    'Canvas ids of stored assignments that are not removed and were not in a complete list.';

create function public.svc_finish_assignments(p_course_id uuid, p_gone bigint[], p_cursor jsonb)
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_removed int;
begin
    update public.assignments set status = 'removed', last_synced_at = private.clock()
    where course_id = p_course_id and canvas_assignment_id = any (p_gone) and status <> 'removed';
    get diagnostics v_removed = row_count;
    insert into public.course_sync_state as s (user_id, course_id, cursor, last_polled_at)
    select c.user_id, c.id, p_cursor, private.clock() from public.courses as c where c.id = p_course_id
    on conflict on constraint course_sync_state_course_id_key do update
    set cursor = excluded.cursor, last_polled_at = excluded.last_polled_at;
    return v_removed;
end
$$;

comment on function public.svc_finish_assignments(uuid, bigint[], jsonb) is
    'Ends a complete list: confirmed missing assignments become removed (their rows stay), and the cursor records it. '
    'Returns how many. Safe to repeat.';

-- What this room forgets. Called by svc_purge_expired (90_platform).

create function private.purge_canvas()
returns jsonb
language sql
volatile
security definer
set search_path = ''
as $$
    select jsonb_build_object(
        'oauth_states', private.purge('private.oauth_states', 'expires_at', '1 day'),
        'lti_states', private.purge('private.lti_states', 'expires_at', '1 day'),
        'lti_tickets', private.purge('private.lti_tickets', 'expires_at', '1 day'),
        'lti_launches', private.purge('private.lti_launches', 'expires_at', '1 day'),
        -- an id reserved for an account that was never made
        'lti_identities', private.purge(
            'private.lti_identities', 'created_at', '1 day',
            'not exists (select from auth.users as u where u.id = t.user_id)'
        )
    );
$$;

comment on function private.purge_canvas() is 'Deletes what this room no longer keeps; how many rows went, by name.';
