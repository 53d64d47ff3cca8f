-- The LTI service reads the registry and keeps our signing keys; a deployment shows when it was last used.
-- Touches: private.lti_deployments (last_used_at), private.lti_signing_keys (retired_at),
--   public.svc_find_lti_registrations, public.svc_list_lti_signing_keys, public.svc_add_lti_signing_key.
-- Undo: drop the three functions and the two columns.

set lock_timeout = '5s';

alter table private.lti_deployments add column last_used_at timestamptz;

comment on column private.lti_deployments.last_used_at is 'When somebody last launched from it.';

alter table private.lti_signing_keys add column retired_at timestamptz;

comment on column private.lti_signing_keys.retired_at is 'When it stopped signing.';

create function public.svc_list_lti_signing_keys()
returns table (kid text, private_key_enc text, public_jwk jsonb, status text, created_at timestamptz)
language sql
stable
security definer
set search_path = ''
as $$
    select k.kid, k.private_key_enc, k.public_jwk, k.status, k.created_at
    from private.lti_signing_keys as k order by k.created_at desc, k.kid;
$$;

comment on function public.svc_list_lti_signing_keys() is 'Every key pair of our tool, newest first.';

create function public.svc_add_lti_signing_key(
    p_kid text,
    p_private_key_enc text,
    p_public_jwk jsonb,
    p_only_first boolean default false
)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_now constant timestamptz := private.clock();
begin
    if p_kid is null or p_private_key_enc is null or p_public_jwk is null or p_only_first is null then
        raise exception 'p_kid, p_private_key_enc, p_public_jwk and p_only_first must not be null'
            using errcode = '22004';
    end if;
    -- two processes that start at once must not both make the first key
    lock table private.lti_signing_keys in share row exclusive mode;
    if p_only_first and exists (select from private.lti_signing_keys where status = 'active') then
        return false;
    end if;
    delete from private.lti_signing_keys where status = 'retired' and retired_at < v_now - interval '1 day';
    -- the newest key until now goes on signing until platforms have read the new one
    update private.lti_signing_keys as k set status = 'retired', retired_at = v_now
    where k.status = 'active' and exists (
        select from private.lti_signing_keys as n
        where n.status = 'active' and (n.created_at, n.kid) > (k.created_at, k.kid)
    );
    insert into private.lti_signing_keys (kid, private_key_enc, public_jwk, created_at)
    values (p_kid, p_private_key_enc, p_public_jwk, v_now);
    perform private.write_audit('add', 'lti_signing_keys', p_kid, null);
    return true;
end
$$;

comment on function public.svc_add_lti_signing_key(text, text, jsonb, boolean) is
    'Adds a key pair; audited. The newest one until now stays active beside it, older ones are retired, and those '
    'retired more than a day ago are deleted. With p_only_first, false and no change when an active key exists.';

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

grant execute on function public.svc_list_lti_signing_keys() to service_role;

grant execute on function public.svc_add_lti_signing_key(text, text, jsonb, boolean) to service_role;

grant execute on function public.svc_find_lti_registrations(uuid, text, text, text) to service_role;
