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

create function public.svc_release_oauth_state(p_state_hash text, p_user_id uuid)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    update private.oauth_states set consumed_at = null
    where state_hash = p_state_hash and user_id = p_user_id and consumed_at is not null;
    return found;
end
$$;

comment on function public.svc_release_oauth_state(text, uuid) is
    'Makes a consumed state usable again, for its own person and until it expires: Canvas has not seen the code, '
    'because it could not be reached or throttled the request. False when there is no such consumed state.';
