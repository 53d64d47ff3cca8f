-- The tokens of integrations. The functions encrypt them (AES-256-GCM, row id and field as associated data). A refresh
-- at Canvas invalidates the previous token, so two at once would lock the person out. Two guards prevent it: `version`
-- (a stale writer changes nothing) and a short lease for the one process that refreshes. Reading a token is audited.

create table private.integration_tokens (
    integration_id uuid primary key,
    access_token_enc text not null,
    refresh_token_enc text,
    expires_at timestamptz,
    is_personal boolean not null default false,
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
comment on column private.integration_tokens.is_personal is
    'A personal access token: it is never refreshed, and never revoked at Canvas, because it is the person''s own.';
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
