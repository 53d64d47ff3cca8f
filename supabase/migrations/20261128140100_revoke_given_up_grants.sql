-- Canvas: a grant that is given up is revoked by a job; a state whose code Canvas has not seen may be used again; a sync
-- joins whatever a live one covers.
-- Touches: type public.job_type, new table private.grant_revocations, functions of room 20_canvas.
-- Undo: drop the four new functions and the table after its jobs are done, and restore the four replaced functions. An
-- enum value cannot be dropped; unused, it does no harm.
set lock_timeout = '5s';

alter type public.job_type add value 'canvas_revoke';

-- Outbox of grants to revoke at Canvas. Disconnecting must work while Canvas is down, so the tokens move here in the
-- transaction that forgets them, and a job of type canvas_revoke tells Canvas later. Nothing else reads them any more.

create table private.grant_revocations (
    id uuid primary key default gen_random_uuid(),
    integration_id uuid not null,
    lms_connection_id uuid not null,
    access_token_enc text not null,
    refresh_token_enc text,
    created_at timestamptz not null default now(),
    constraint grant_revocations_lms_connection_id_fkey
        foreign key (lms_connection_id)
        references public.lms_connections(id) on delete cascade,
    constraint grant_revocations_access_token_enc_check check (access_token_enc ~ '^v[0-9]+:'),
    constraint grant_revocations_refresh_token_enc_check check (refresh_token_enc ~ '^v[0-9]+:')
);

create index idx_grant_revocations_lms_connection_id on private.grant_revocations (lms_connection_id);
create index idx_grant_revocations_created_at on private.grant_revocations (created_at);

comment on table private.grant_revocations is 'Tokens that we no longer use and that Canvas shall forget, encrypted.';
comment on column private.grant_revocations.id is 'Key; the job names it.';
comment on column private.grant_revocations.integration_id is
    'Whose tokens they were. The envelopes are bound to this id. No foreign key: the integration may go first.';
comment on column private.grant_revocations.lms_connection_id is 'The installation that issued them.';
comment on column private.grant_revocations.access_token_enc is 'Envelope v<key number>:<base64url>.';
comment on column private.grant_revocations.refresh_token_enc is 'Envelope; null where Canvas gave none.';
comment on column private.grant_revocations.created_at is 'When they were given up.';

create function private.give_up_grant(p_integration_id uuid)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_id uuid;
begin
    insert into private.grant_revocations (
        integration_id, lms_connection_id, access_token_enc, refresh_token_enc, created_at
    )
    select i.id, i.lms_connection_id, t.access_token_enc, t.refresh_token_enc, private.clock()
    from private.integration_tokens as t
    join public.integrations as i on i.id = t.integration_id
    where t.integration_id = p_integration_id and i.lms_connection_id is not null
    for update of t
    returning id into v_id;
    delete from private.integration_tokens where integration_id = p_integration_id;
    if v_id is not null then
        perform public.svc_enqueue_job(
            p_type => 'canvas_revoke',
            p_payload => jsonb_build_object('revocation_id', v_id),
            -- nobody's: the person may delete their account meanwhile, and the grant must end all the same
            p_dedupe_key => 'canvas_revoke:' || v_id,
            p_max_retries => 12,
            p_timeout_s => 120
        );
    end if;
end
$$;

comment on function private.give_up_grant(uuid) is
    'Moves the tokens of an integration into private.grant_revocations and enqueues the job that revokes them at '
    'Canvas. Without tokens nothing happens.';

create function public.svc_get_grant_revocation(p_id uuid)
returns table (integration_id uuid, lms_connection_id uuid, access_token_enc text, refresh_token_enc text)
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    perform private.write_audit('read', 'grant_revocations', p_id::text, null)
    from private.grant_revocations as r where r.id = p_id;
    return query
    select r.integration_id, r.lms_connection_id, r.access_token_enc, r.refresh_token_enc
    from private.grant_revocations as r where r.id = p_id;
end
$$;

comment on function public.svc_get_grant_revocation(uuid) is
    'The encrypted tokens of a grant to revoke, or no row once it is done; audited.';

create function public.svc_finish_grant_revocation(p_id uuid)
returns void
language sql
volatile
security definer
set search_path = ''
as $$
    delete from private.grant_revocations where id = p_id;
$$;

comment on function public.svc_finish_grant_revocation(uuid) is
    'Forgets the tokens of a grant that Canvas has revoked, or will not revoke. Safe to repeat.';

-- Private: only the functions below use it.

alter table private.grant_revocations enable row level security;

create policy nobody on private.grant_revocations to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.grant_revocations is
    'Closed on purpose: only the service''s definer functions use it.';

grant execute on function public.svc_get_grant_revocation(uuid) to service_role;

grant execute on function public.svc_finish_grant_revocation(uuid) to service_role;

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

grant execute on function public.svc_release_oauth_state(text, uuid) to service_role;

create or replace function private.purge_canvas()
returns jsonb
language sql
volatile
security definer
set search_path = ''
as $$
    select jsonb_build_object(
        'oauth_states', private.purge('private.oauth_states', 'expires_at', '1 day'),
        -- a grant that Canvas did not take back in a week is left to expire
        'grant_revocations', private.purge('private.grant_revocations', 'created_at', '7 days'),
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

create or replace function public.svc_connect_integration(
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
    v_version int;
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
    -- a new grant replaces both tokens: an older one must not outlive it, here or at Canvas
    select t.version into v_version from private.integration_tokens as t where t.integration_id = p_integration_id;
    perform private.give_up_grant(p_integration_id);
    insert into private.integration_tokens (
        integration_id, access_token_enc, refresh_token_enc, expires_at, version
    )
    values (
        p_integration_id, p_access_token_enc, p_refresh_token_enc, p_expires_at, coalesce(v_version, 0) + 1
    );
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
    'Stores a grant: connects the integration, stores its tokens, gives an earlier grant up, enqueues the first sync. '
    'outcome connected; other_id when the person already has an integration there under the returned id (seal the '
    'tokens for it and call again); in_use when another account has connected that Canvas person. Only connected '
    'stores anything. PT404 without an active connection.';

create or replace function public.svc_disconnect_integration(p_integration_id uuid)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    perform private.give_up_grant(p_integration_id);
    update public.integrations set status = 'revoked' where id = p_integration_id and status <> 'revoked';
end
$$;

comment on function public.svc_disconnect_integration(uuid) is
    'Forgets the tokens, enqueues their revocation at Canvas and revokes the integration; courses stay. Safe to '
    'repeat.';

create function public.svc_start_canvas_sync(
    p_user_id uuid,
    p_integration_ids uuid[],
    p_course_ids uuid[] default null
)
returns table (job_id uuid, created boolean)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_left uuid[];
    v_live uuid;
    v_key text;
begin
    if num_nulls(p_user_id, p_integration_ids) > 0 or array_position(p_integration_ids, null) is not null
        or array_position(p_course_ids, null) is not null then
        raise exception 'p_user_id, p_integration_ids and what the lists contain must not be null'
            using errcode = '22004';
    end if;
    if cardinality(p_integration_ids) = 0 or cardinality(p_course_ids) = 0 then
        raise exception 'p_integration_ids and p_course_ids must not be empty' using errcode = '22023';
    end if;
    if (
        select count(*) from public.integrations
        where id = any (p_integration_ids) and user_id = p_user_id and provider = 'canvas'
    ) <> (select count(distinct i) from unnest(p_integration_ids) as i) then
        raise exception 'an id in p_integration_ids is no Canvas integration of this person' using errcode = 'PT404';
    end if;
    -- one at a time for a person, or two calls would both find no live run
    perform from public.profiles where user_id = p_user_id for no key update;
    with live as (
        select j.id, j.created_at, (s.value #>> '{}')::uuid as integration_id
        from public.jobs as j
        join private.job_runtime as r on r.job_id = j.id
        cross join jsonb_array_elements(r.payload -> 'integration_ids') as s
        where j.user_id = p_user_id and j.type = 'canvas_sync' and j.status in ('queued', 'running')
            and not j.cancel_requested
            -- a run of some courses stands for the same courses only
            and (
                not r.payload ? 'course_ids'
                or r.payload -> 'course_ids' @> to_jsonb(p_course_ids)
            )
    )
    select
        array(
            select distinct i from unnest(p_integration_ids) as i
            where i not in (select l.integration_id from live as l)
            order by i
        ),
        (
            select l.id from live as l where l.integration_id = any (p_integration_ids)
            order by l.created_at desc, l.id limit 1
        )
    into v_left, v_live;
    if cardinality(v_left) = 0 then
        return query select v_live, false;
        return;
    end if;
    v_key := 'canvas_sync:' || case cardinality(v_left)
        when 1 then v_left[1]::text
        else md5(array_to_string(v_left, ','))
    end;
    if p_course_ids is not null then
        v_key := v_key || ':' || md5(array_to_string(array(select c from unnest(p_course_ids) as c order by c), ','));
    end if;
    return query
    select e.job_id, e.created
    from public.svc_enqueue_job(
        p_type => 'canvas_sync',
        p_payload => jsonb_strip_nulls(
            jsonb_build_object('integration_ids', to_jsonb(v_left), 'course_ids', to_jsonb(p_course_ids))
        ),
        p_user_id => p_user_id,
        p_dedupe_key => v_key
    ) as e;
end
$$;

comment on function public.svc_start_canvas_sync(uuid, uuid[], uuid[]) is
    'Starts a sync of these integrations of a person. What a live run covers is left out, and when nothing is left '
    'that run is returned (created false). A run of some courses covers only these. PT404 for an integration that is '
    'not the person''s.';

-- For the service alone: it checks ownership before it calls.

grant execute on function public.svc_start_canvas_sync(uuid, uuid[], uuid[]) to service_role;
