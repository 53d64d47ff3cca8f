-- The registry of platforms, kept by staff through the service. What staff registers is active at once; dynamic
-- registration, where a platform asks, leaves pending rows that wait for svc_set_lti_status.

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
        raise exception 'every argument is required' using errcode = '22004';
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
    'Registers a platform and returns its id; repeating it with the same issuer and key set updates the other addresses '
    'and leaves the status alone. 23514 for an address that is neither https nor this machine.';

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
        raise exception 'every argument is required' using errcode = '22004';
    end if;
    if not exists (select from private.lti_platforms where id = p_platform_id) then
        raise exception 'no such platform' using errcode = 'PT404';
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
    'Registers our client at a platform and returns the registration''s id; safe to repeat. PT404 without the platform.';

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
        raise exception 'every argument is required' using errcode = '22004';
    end if;
    if not exists (select from private.lti_registrations where id = p_registration_id)
       or not exists (select from public.lms_connections where id = p_lms_connection_id) then
        raise exception 'no such registration or connection' using errcode = 'PT404';
    end if;
    insert into private.lti_deployments (registration_id, deployment_id, lms_connection_id, status)
    values (p_registration_id, p_deployment_id, p_lms_connection_id, 'active')
    on conflict (registration_id, deployment_id) do nothing;
    select * into v_row from private.lti_deployments
    where registration_id = p_registration_id and deployment_id = p_deployment_id;
    -- its teachers and courses hang on the school: it does not move by a repeated call
    if v_row.lms_connection_id <> p_lms_connection_id then
        raise exception 'the deployment belongs to another connection' using errcode = 'PT409';
    end if;
    return v_row.id;
end
$$;

comment on function public.svc_register_lti_deployment(uuid, text, uuid) is
    'Registers a deployment for a school''s connection and returns its id; safe to repeat. PT404 without registration or '
    'connection, PT409 when it already belongs to another connection.';

create function public.svc_set_lti_status(p_kind text, p_id uuid, p_status text)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if p_kind is null or p_id is null or p_status is null then
        raise exception 'every argument is required' using errcode = '22004';
    end if;
    if p_status not in ('pending', 'active', 'disabled') then
        raise exception 'unknown status' using errcode = '22023';
    end if;
    case p_kind
        when 'platform' then
            update private.lti_platforms set status = p_status where id = p_id;
        when 'registration' then
            update private.lti_registrations set status = p_status where id = p_id;
        when 'deployment' then
            update private.lti_deployments set status = p_status where id = p_id;
        else
            raise exception 'unknown kind' using errcode = '22023';
    end case;
    if not found then
        raise exception 'no such %', p_kind using errcode = 'PT404';
    end if;
    perform private.write_audit(
        'set_status', 'lti_' || p_kind || 's', p_id::text, null, jsonb_build_object('status', p_status)
    );
end
$$;

comment on function public.svc_set_lti_status(text, uuid, text) is
    'Switches a platform, registration or deployment to pending, active or disabled; audited. PT404 without the row, '
    '22023 for an unknown kind or status.';
