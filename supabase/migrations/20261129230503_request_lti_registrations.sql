-- Dynamic registration of LTI platforms waits for approval, and administrators list and decide registrations.
-- Touches: public.svc_request_lti_registration, public.svc_list_lti_registrations, public.svc_decide_lti_registration.
-- Undo: drop the three functions.

set lock_timeout = '5s';

create function public.svc_request_lti_registration(
    p_issuer text,
    p_jwks_url text,
    p_auth_url text,
    p_token_url text,
    p_name text,
    p_client_id text,
    p_deployment_id text default null,
    p_instance_domain text default null
)
returns uuid
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_platform uuid;
    v_id uuid;
begin
    if num_nulls(p_issuer, p_jwks_url, p_auth_url, p_token_url, p_name, p_client_id) > 0 then
        raise exception 'only p_deployment_id and p_instance_domain may be null' using errcode = '22004';
    end if;
    -- a platform that is known keeps its addresses and status: nobody has approved what is new here
    insert into private.lti_platforms (issuer, jwks_url, auth_url, token_url, name, status)
    values (p_issuer, p_jwks_url, p_auth_url, p_token_url, p_name, 'pending')
    on conflict (issuer, jwks_url) do nothing;
    select id into v_platform from private.lti_platforms where issuer = p_issuer and jwks_url = p_jwks_url;
    insert into private.lti_registrations (platform_id, client_id, status)
    values (v_platform, p_client_id, 'pending')
    on conflict (platform_id, client_id) do nothing;
    select id into v_id from private.lti_registrations where platform_id = v_platform and client_id = p_client_id;
    insert into private.lti_deployments (registration_id, deployment_id, lms_connection_id, status)
    select v_id, p_deployment_id, c.id, 'pending' from public.lms_connections as c
    where p_deployment_id is not null and c.instance_domain = p_instance_domain and c.status = 'active'
    order by c.created_at, c.id limit 1
    on conflict (registration_id, deployment_id) do nothing;
    perform private.write_audit('request', 'lti_registrations', v_id::text, null);
    return v_id;
end
$$;

comment on function public.svc_request_lti_registration(text, text, text, text, text, text, text, text) is
    'Notes a registration that a platform made, to wait for approval; audited. What is known already is not changed. '
    'A deployment is noted when p_instance_domain is a school''s.';

create function public.svc_list_lti_registrations()
returns table (
    id uuid,
    client_id text,
    status text,
    created_at timestamptz,
    last_used_at timestamptz,
    platform jsonb,
    deployments jsonb
)
language sql
stable
security definer
set search_path = ''
as $$
    select
        r.id, r.client_id, r.status, r.created_at, d.last_used_at,
        jsonb_build_object(
            'id', p.id, 'name', p.name, 'issuer', p.issuer, 'status', p.status,
            'jwks_url', p.jwks_url, 'auth_url', p.auth_url, 'token_url', p.token_url
        ),
        coalesce(d.deployments, '[]')
    from private.lti_registrations as r
    join private.lti_platforms as p on p.id = r.platform_id
    cross join lateral (
        select
            max(o.last_used_at) as last_used_at,
            jsonb_agg(
                jsonb_build_object(
                    'id', o.id, 'deployment_id', o.deployment_id, 'lms_connection_id', o.lms_connection_id,
                    'status', o.status, 'last_used_at', o.last_used_at
                )
                order by o.created_at, o.id
            ) as deployments
        from private.lti_deployments as o where o.registration_id = r.id
    ) as d
    order by r.created_at desc, r.id;
$$;

comment on function public.svc_list_lti_registrations() is
    'Every registration, newest first, with its platform and deployments and when somebody last launched from them.';

create function public.svc_decide_lti_registration(
    p_registration_id uuid,
    p_status text,
    p_decided_by uuid default null,
    p_lms_connection_id uuid default null,
    p_deployment_id text default null
)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_platform uuid;
begin
    if p_registration_id is null or p_status is null then
        raise exception 'p_registration_id and p_status must not be null' using errcode = '22004';
    end if;
    if p_status not in ('active', 'disabled') then
        raise exception 'p_status must be active or disabled' using errcode = '22023';
    end if;
    if num_nulls(p_lms_connection_id, p_deployment_id) = 1 then
        raise exception 'p_lms_connection_id and p_deployment_id belong together' using errcode = '22023';
    end if;
    update private.lti_registrations set status = p_status where id = p_registration_id
    returning platform_id into v_platform;
    if not found then
        raise exception 'no registration has the id in p_registration_id' using errcode = 'PT404';
    end if;
    if p_status = 'active' then
        if p_deployment_id is not null then
            perform public.svc_register_lti_deployment(p_registration_id, p_deployment_id, p_lms_connection_id);
        end if;
        update private.lti_platforms set status = 'active' where id = v_platform and status = 'pending';
        if exists (select from private.lti_platforms where id = v_platform and status <> 'active') then
            raise exception 'the platform is switched off' using errcode = 'PT409',
                hint = 'Switch it on with svc_set_lti_status first.';
        end if;
        update private.lti_deployments set status = 'active'
        where registration_id = p_registration_id and status = 'pending';
    end if;
    perform private.write_audit(
        'set_status', 'lti_registrations', p_registration_id::text, null,
        jsonb_build_object('status', p_status, 'decided_by', p_decided_by)
    );
end
$$;

comment on function public.svc_decide_lti_registration(uuid, text, uuid, uuid, text) is
    'Approves a registration, with its platform and deployments that wait, or switches it off; audited with the '
    'administrator. A deployment is registered with the school that it belongs to. PT404 when the registration or the '
    'connection does not exist, PT409 when the platform is switched off or the deployment belongs to another school.';

grant execute on function public.svc_request_lti_registration(
    text, text, text, text, text, text, text, text
) to service_role;

grant execute on function public.svc_list_lti_registrations() to service_role;

grant execute on function public.svc_decide_lti_registration(uuid, text, uuid, uuid, text) to service_role;
