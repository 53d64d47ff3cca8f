-- Answers kept for a day, so that a client who missed one may ask again with the same key. Services call the two
-- functions below before and after a request.

create table private.idempotency_keys (
    user_id uuid not null,
    route text not null,
    key text not null,
    request_hash text not null,
    status int,
    response jsonb,
    started_at timestamptz not null default now(),
    expires_at timestamptz not null,

    constraint idempotency_keys_pkey primary key (user_id, route, key),
    constraint idempotency_keys_user_id_fkey foreign key (user_id) references auth.users(id) on delete cascade,
    constraint idempotency_keys_route_check check (char_length(route) between 1 and 500),
    constraint idempotency_keys_key_check check (char_length(key) between 1 and 255),
    constraint idempotency_keys_request_hash_check check (char_length(request_hash) between 1 and 128),
    constraint idempotency_keys_status_check check (status between 100 and 599)
);

-- for retention
create index idx_idempotency_keys_expires_at on private.idempotency_keys (expires_at);

comment on table private.idempotency_keys is 'Requests with an Idempotency-Key, and their answers.';
comment on column private.idempotency_keys.user_id is 'Who asked.';
comment on column private.idempotency_keys.route is 'What was asked: method and path.';
comment on column private.idempotency_keys.key is 'The client''s key.';
comment on column private.idempotency_keys.request_hash is
    'Hash of the body; the same key with another body is refused.';
comment on column private.idempotency_keys.status is 'HTTP status of the answer; null while the first request runs.';
comment on column private.idempotency_keys.response is 'Body of the answer.';
comment on column private.idempotency_keys.started_at is 'When the request began.';
comment on column private.idempotency_keys.expires_at is 'When the key may be used for another request.';

create function public.svc_begin_idempotent(p_user_id uuid, p_route text, p_key text, p_request_hash text)
returns table (outcome text, status int, response jsonb)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_row private.idempotency_keys;
    v_now constant timestamptz := private.clock();
begin
    if num_nulls(p_user_id, p_route, p_key, p_request_hash) > 0 then
        raise exception 'p_user_id, p_route, p_key and p_request_hash must not be null' using errcode = '22004';
    end if;
    insert into private.idempotency_keys (user_id, route, key, request_hash, started_at, expires_at)
    values (p_user_id, p_route, p_key, p_request_hash, v_now, v_now + interval '24 hours')
    on conflict (user_id, route, key) do nothing;
    if found then
        return query select 'new', null::int, null::jsonb;
        return;
    end if;

    select * into v_row from private.idempotency_keys as k
    where k.user_id = p_user_id and k.route = p_route and k.key = p_key for update;
    -- deleted meanwhile, expired, or abandoned by a request that never ended
    if not found or v_row.expires_at <= v_now
        or v_row.status is null and v_row.started_at <= v_now - interval '2 minutes' then
        insert into private.idempotency_keys (user_id, route, key, request_hash, started_at, expires_at)
        values (p_user_id, p_route, p_key, p_request_hash, v_now, v_now + interval '24 hours')
        on conflict (user_id, route, key) do update set
            request_hash = excluded.request_hash,
            status = null,
            response = null,
            started_at = excluded.started_at,
            expires_at = excluded.expires_at;
        return query select 'new', null::int, null::jsonb;
    elsif v_row.request_hash <> p_request_hash then
        return query select 'mismatch', null::int, null::jsonb;
    elsif v_row.status is null then
        return query select 'in_flight', null::int, null::jsonb;
    else
        return query select 'replay', v_row.status, v_row.response;
    end if;
end
$$;

comment on function public.svc_begin_idempotent(uuid, text, text, text) is
    'Opens a request with an Idempotency-Key. outcome new: do it. replay: answer with status and response. in_flight: '
    'the first request still runs. mismatch: the key was used with another body. A key lives 24 hours; one that is in '
    'flight for 2 minutes counts as abandoned.';

create function public.svc_finish_idempotent(
    p_user_id uuid,
    p_route text,
    p_key text,
    p_status int default null,
    p_response jsonb default null
)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if num_nulls(p_user_id, p_route, p_key) > 0 then
        raise exception 'p_user_id, p_route and p_key must not be null' using errcode = '22004';
    end if;
    if p_status is null then
        delete from private.idempotency_keys
        where user_id = p_user_id and route = p_route and key = p_key and status is null;
    else
        update private.idempotency_keys set status = p_status, response = p_response
        where user_id = p_user_id and route = p_route and key = p_key and status is null;
    end if;
end
$$;

comment on function public.svc_finish_idempotent(uuid, text, text, int, jsonb) is
    'Stores the answer of an open request. Without p_status it deletes the request, so that it may be sent again. A '
    'stored answer does not change.';
