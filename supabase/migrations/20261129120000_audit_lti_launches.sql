-- Every launch leaves a line in the audit log: who, from which deployment, as what.
-- Touches: public.svc_finish_lti_launch.
-- Undo: put the old function back.

set lock_timeout = '5s';

create or replace function public.svc_finish_lti_launch(
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
