-- The way of a launch, one function for each step. Each REST call is a transaction of its own, so whatever must happen
-- together or once is one function here.
--
--   login -> svc_create_lti_state -> launch -> svc_use_lti_state, once -> svc_get_lti_deployment
--   -> svc_reserve_lti_identity -> (account made at Auth) -> svc_finish_lti_launch -> svc_take_lti_ticket, once

create function public.svc_create_lti_state(
    p_state_hash text,
    p_nonce text,
    p_registration_id uuid,
    p_target_link_uri text,
    p_binding_hash text,
    p_deployment_hint text default null,
    p_storage_target text default null
)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if p_state_hash is null or p_nonce is null or p_registration_id is null or p_target_link_uri is null
        or p_binding_hash is null then
        raise exception 'of the parameters only p_deployment_hint and p_storage_target may be null'
            using errcode = '22004';
    end if;
    insert into private.lti_states (
        state_hash, nonce, registration_id, target_link_uri, binding_hash, deployment_hint, storage_target,
        created_at, expires_at
    )
    values (
        p_state_hash, p_nonce, p_registration_id, p_target_link_uri, p_binding_hash, p_deployment_hint,
        p_storage_target, private.clock(), private.clock() + interval '10 minutes'
    );
end
$$;

comment on function public.svc_create_lti_state(text, text, uuid, text, text, text, text) is
    'Stores a login that has begun, for ten minutes. 23503 when the registration does not exist.';

create function public.svc_use_lti_state(p_state_hash text)
returns table (
    outcome text,
    registration_id uuid,
    nonce text,
    target_link_uri text,
    binding_hash text,
    deployment_hint text,
    storage_target text
)
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_state private.lti_states;
begin
    if p_state_hash is null then
        raise exception 'p_state_hash must not be null' using errcode = '22004';
    end if;
    update private.lti_states as s set used_at = private.clock()
    where s.state_hash = p_state_hash and s.used_at is null and s.expires_at > private.clock()
    returning * into v_state;
    if found then
        return query select 'ok'::text, v_state.registration_id, v_state.nonce, v_state.target_link_uri,
            v_state.binding_hash, v_state.deployment_hint, v_state.storage_target;
        return;
    end if;
    -- the registration alone: its platform may show the page that says so
    return query select 'over'::text, s.registration_id, null::text, null::text, null::text, null::text, null::text
    from private.lti_states as s where s.state_hash = p_state_hash;
end
$$;

comment on function public.svc_use_lti_state(text) is
    'Uses a login up: outcome ok with its row, once. over and the registration alone when it was used before or has '
    'expired; no row when it is unknown.';

create function public.svc_get_lti_deployment(p_registration_id uuid, p_deployment_id text)
returns table (id uuid, status text)
language sql
stable
security definer
set search_path = ''
as $$
    select
        d.id,
        case
            when 'disabled' in (d.status, r.status, p.status) then 'disabled'
            when 'pending' in (d.status, r.status, p.status) then 'pending'
            else 'active'
        end
    from private.lti_deployments as d
    join private.lti_registrations as r on r.id = d.registration_id
    join private.lti_platforms as p on p.id = r.platform_id
    where d.registration_id = p_registration_id and d.deployment_id = p_deployment_id;
$$;

comment on function public.svc_get_lti_deployment(uuid, text) is
    'A registration''s deployment by the platform''s id. status is active only if those of its registration and '
    'platform are.';

create function public.svc_reserve_lti_identity(p_registration_id uuid, p_sub text)
returns table (identity_id uuid, user_id uuid, account text)
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_platform uuid;
begin
    if p_registration_id is null or p_sub is null then
        raise exception 'p_registration_id and p_sub must not be null' using errcode = '22004';
    end if;
    select r.platform_id into v_platform from private.lti_registrations as r where r.id = p_registration_id;
    if not found then
        raise exception 'no registration has the id in p_registration_id' using errcode = 'PT404';
    end if;
    insert into private.lti_identities (platform_id, sub, user_id, created_at)
    values (v_platform, p_sub, gen_random_uuid(), private.clock())
    on conflict (platform_id, sub) do nothing;
    return query
    select
        i.id,
        i.user_id,
        case
            when u.id is null then 'missing'
            when u.deleted_at is not null or u.banned_until > private.clock() then 'blocked'
            else 'there'
        end
    from private.lti_identities as i
    left join auth.users as u on u.id = i.user_id
    where i.platform_id = v_platform and i.sub = p_sub;
end
$$;

comment on function public.svc_reserve_lti_identity(uuid, text) is
    'The account of a platform''s person. An unknown person gets an id reserved. account is missing until Auth has '
    'made it, blocked when it is banned or deleted, else there.';

create function private.make_lti_teacher(
    p_user_id uuid,
    p_lms_connection_id uuid,
    p_canvas_user_id text,
    p_sub text,
    p_name text,
    p_email text
)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
    v_id text;
begin
    -- Canvas may give one person two subjects, who then have two accounts; the Canvas id belongs to the first of them
    foreach v_id in array array[p_canvas_user_id, p_sub] loop
        insert into public.teachers (id, lms_connection_id, canvas_user_id, name, email)
        select p_user_id, p_lms_connection_id, v_id, left(p_name, 500), p_email where v_id is not null
        on conflict do nothing;
    end loop;
    update public.teachers set email = p_email
    where id = p_user_id and p_email is not null and email is distinct from p_email;
end
$$;

comment on function private.make_lti_teacher(uuid, uuid, text, text, text, text) is
    'The row of a teacher, made at the first launch. The contact address follows Canvas; it signs nobody in.';

create function public.svc_finish_lti_launch(
    p_identity_id uuid,
    p_deployment uuid,
    p_message_type text,
    p_role text,
    p_ticket_hash text,
    p_binding_hash text,
    p_roles text[] default '{}',
    p_context_id text default null,
    p_claims jsonb default '{}',
    p_name text default null,
    p_email text default null,
    p_canvas_user_id text default null
)
returns table (outcome text, launch_id uuid)
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_now constant timestamptz := private.clock();
    v_identity private.lti_identities;
    v_deployment private.lti_deployments;
    v_managed boolean;
    v_role public.user_role;
    v_launch uuid;
begin
    if p_identity_id is null or p_deployment is null or p_message_type is null or p_role is null
        or p_ticket_hash is null or p_binding_hash is null or p_roles is null or p_claims is null then
        raise exception 'only p_context_id, p_name, p_email and p_canvas_user_id may be null' using errcode = '22004';
    end if;
    if p_role not in ('teacher', 'student', 'none') then
        raise exception 'p_role must be teacher, student or none' using errcode = '22023';
    end if;
    select * into v_identity from private.lti_identities where id = p_identity_id;
    select * into v_deployment from private.lti_deployments where id = p_deployment;
    select coalesce(u.raw_app_meta_data #>> '{lti,managed}' = 'true', false) into v_managed
    from auth.users as u where u.id = v_identity.user_id;
    if v_managed is null or v_deployment.id is null then
        raise exception 'the account of p_identity_id, or p_deployment, does not exist' using errcode = 'PT404';
    end if;
    perform private.create_profile(u.id, u.raw_app_meta_data, u.raw_user_meta_data)
    from auth.users as u where u.id = v_identity.user_id
        and not exists (select from public.profiles as p where p.user_id = u.id);
    select role into v_role from public.profiles where user_id = v_identity.user_id for no key update;
    -- an account that the person made themselves is never changed
    if v_managed then
        if p_role = 'teacher' and v_role = 'student' then
            begin
                update public.profiles set role = 'teacher' where user_id = v_identity.user_id;
            exception when check_violation then
                return query select 'role_conflict'::text, null::uuid;
                return;
            end;
            v_role := 'teacher';
        end if;
        update public.profiles set display_name = left(p_name, 200)
        where user_id = v_identity.user_id and display_name is null and p_name is not null;
    end if;
    if p_role = 'teacher' and v_role = 'teacher' then
        perform private.make_lti_teacher(
            v_identity.user_id, v_deployment.lms_connection_id, p_canvas_user_id, v_identity.sub, p_name, p_email
        );
    end if;
    if p_context_id is not null then
        insert into private.lti_memberships (deployment_id, context_id, user_id, roles, seen_at)
        values (p_deployment, p_context_id, v_identity.user_id, p_roles, v_now)
        on conflict (deployment_id, context_id, user_id) do update
        set roles = excluded.roles, seen_at = excluded.seen_at;
    end if;
    insert into private.lti_launches (
        identity_id, deployment_id, context_id, message_type, claims, expires_at, created_at
    )
    values (p_identity_id, p_deployment, p_context_id, p_message_type, p_claims, v_now + interval '1 day', v_now)
    returning id into v_launch;
    insert into private.lti_tickets (ticket_hash, launch_id, binding_hash, expires_at)
    values (p_ticket_hash, v_launch, p_binding_hash, v_now + interval '60 seconds');
    -- a class that launches at once must not queue for this row
    update private.lti_deployments set last_used_at = v_now
    where id = p_deployment and (last_used_at is null or last_used_at < v_now - interval '1 minute');
    perform private.write_audit(
        'launch', 'lti_launches', v_launch::text, v_identity.user_id,
        jsonb_build_object('deployment_id', p_deployment, 'role', p_role)
    );
    return query select 'ok'::text, v_launch;
end
$$;

comment on function public.svc_finish_lti_launch(
    uuid, uuid, text, text, text, text, text[], text, jsonb, text, text, text
) is
    'Records a verified launch with its ticket of 60 seconds; audited. Keeps the person''s course roles, and makes a '
    'managed student account that launches as teacher a teacher''s; role_conflict and no change when an active tutor '
    'or guardian forbids that. p_claims must hold no personal data. PT404 when the account does not exist.';

create function public.svc_take_lti_ticket(p_ticket_hash text, p_binding_hashes text[])
returns table (
    outcome text,
    launch_id uuid,
    user_id uuid,
    identity_id uuid,
    context_id text,
    claims jsonb
)
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_launch uuid;
begin
    if p_ticket_hash is null or p_binding_hashes is null then
        raise exception 'p_ticket_hash and p_binding_hashes must not be null' using errcode = '22004';
    end if;
    update private.lti_tickets as t set used_at = private.clock()
    where t.ticket_hash = p_ticket_hash and t.binding_hash = any (p_binding_hashes)
        and t.used_at is null and t.expires_at > private.clock()
    returning t.launch_id into v_launch;
    return query
    select
        case
            when 'disabled' in (d.status, r.status, p.status) then 'disabled'
            when 'pending' in (d.status, r.status, p.status) then 'pending'
            else 'ok'
        end,
        l.id, i.user_id, i.id, l.context_id, l.claims
    from private.lti_launches as l
    join private.lti_identities as i on i.id = l.identity_id
    join private.lti_deployments as d on d.id = l.deployment_id
    join private.lti_registrations as r on r.id = d.registration_id
    join private.lti_platforms as p on p.id = r.platform_id
    where l.id = v_launch;
end
$$;

comment on function public.svc_take_lti_ticket(text, text[]) is
    'Uses a ticket up, once, for the browser that shows its secret: outcome ok, or disabled or pending when launches '
    'from there no longer work. No row when the ticket is unknown, used, expired or another browser''s.';
