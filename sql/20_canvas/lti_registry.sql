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

create function public.svc_find_lti_registrations(
    p_registration_id uuid default null,
    p_issuer text default null,
    p_client_id text default null,
    p_deployment_id text default null
)
returns table (
    registration_id uuid,
    platform_id uuid,
    issuer text,
    client_id text,
    name text,
    jwks_url text,
    auth_url text,
    token_url text,
    hosts text[],
    registration_status text,
    platform_status text
)
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    if p_registration_id is null and (p_issuer is null or p_client_id is null) then
        raise exception 'p_registration_id, or p_issuer and p_client_id, must not be null' using errcode = '22004';
    end if;
    return query
    select
        r.id, p.id, p.issuer, r.client_id, p.name, p.jwks_url, p.auth_url, p.token_url,
        -- schools show us in frames of their own Canvas, which the platform's row does not name
        p.hosts || array(
            select distinct c.instance_domain from private.lti_deployments as d
            join public.lms_connections as c on c.id = d.lms_connection_id
            where d.registration_id = r.id and d.status = 'active' order by 1
        ),
        r.status, p.status
    from private.lti_registrations as r
    join private.lti_platforms as p on p.id = r.platform_id
    where (p_registration_id is null or r.id = p_registration_id)
        and (p_issuer is null or p.issuer = p_issuer)
        and (p_client_id is null or r.client_id = p_client_id)
        and (p_deployment_id is null or exists (
            select from private.lti_deployments as d
            where d.registration_id = r.id and d.deployment_id = p_deployment_id
        ))
    order by r.created_at, r.id;
end
$$;

comment on function public.svc_find_lti_registrations(uuid, text, text, text) is
    'The registrations with this id, or of this issuer and client, whatever their status. Platforms can share an '
    'issuer and a client id; then p_deployment_id tells them apart. hosts may show us in a frame.';
