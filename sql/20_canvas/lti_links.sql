-- A person joins Canvas to an account that they made themselves, instead of the one that a launch makes. They are
-- signed in there, and the launch is fresh: nothing is ever joined by an e-mail address.

create function public.svc_link_lti_identity(p_ticket_hash text, p_binding_hashes text[], p_user_id uuid)
returns text
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_ticket record;
    v_old uuid;
begin
    if p_user_id is null then
        raise exception 'p_user_id must not be null' using errcode = '22004';
    end if;
    select * into v_ticket from public.svc_take_lti_ticket(p_ticket_hash, p_binding_hashes);
    if not found then
        return 'invalid';
    end if;
    if v_ticket.outcome <> 'ok' then
        return v_ticket.outcome;
    end if;
    select user_id into v_old from private.lti_identities where id = v_ticket.identity_id for update;
    if v_old = p_user_id then
        return 'linked';
    end if;
    -- an account that this launch made and that nobody has signed in to may give way; any other one is in use
    if not exists (
        select from auth.users where id = v_old and raw_app_meta_data #>> '{lti,managed}' = 'true'
            and last_sign_in_at is null
        for update
    ) or exists (select from private.lti_sign_in_locks where user_id = v_old and expires_at > private.clock()) then
        return 'in_use';
    end if;
    insert into private.lti_memberships as m (deployment_id, context_id, user_id, roles, seen_at)
    select deployment_id, context_id, p_user_id, roles, seen_at from private.lti_memberships where user_id = v_old
    on conflict (deployment_id, context_id, user_id) do update set roles = excluded.roles, seen_at = excluded.seen_at;
    update private.lti_identities set user_id = p_user_id where user_id = v_old;
    delete from auth.users where id = v_old;
    insert into public.notifications (user_id, type, status, title, body, payload, created_at)
    values (
        p_user_id,
        'system',
        'sent',
        'Canvas is joined to this account',
        'Whoever opens us from that Canvas account comes in here. If that was not you, undo it in your settings.',
        jsonb_build_object('code', 'lti_linked'),
        private.clock()
    );
    perform private.write_audit('link', 'lti_identities', v_ticket.identity_id::text, p_user_id);
    return 'linked';
end
$$;

comment on function public.svc_link_lti_identity(text, text[], uuid) is
    'Joins the person of a fresh launch to an account that they are signed in to, tells them there, and deletes the '
    'account that the launch made, if nobody has signed in to it: linked. in_use when they have. Otherwise invalid, '
    'disabled or pending, as for svc_take_lti_ticket. Uses the ticket up.';

create function public.svc_unlink_lti_identities(p_user_id uuid)
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_count int;
begin
    if p_user_id is null then
        raise exception 'p_user_id must not be null' using errcode = '22004';
    end if;
    if exists (select from auth.users where id = p_user_id and raw_app_meta_data #>> '{lti,managed}' = 'true') then
        raise exception 'this account signs in from Canvas alone' using errcode = '42501';
    end if;
    delete from private.lti_memberships where user_id = p_user_id;
    delete from private.lti_identities where user_id = p_user_id;
    get diagnostics v_count = row_count;
    if v_count > 0 then
        perform private.write_audit('unlink', 'lti_identities', null, p_user_id);
    end if;
    return v_count;
end
$$;

comment on function public.svc_unlink_lti_identities(uuid) is
    'Ends every connection of an account to people of Canvas, with their course roles; how many there were. 42501 for '
    'an account that Canvas made, which nobody could enter then.';

-- A managed account has a made-up address that receives no mail. With an address of their own, its owner could have
-- sign-in links mailed to them, long after their school removed them.

create function private.keep_managed_address()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    raise exception 'the address of an account that signs in from Canvas does not change' using errcode = '42501';
end
$$;

comment on function private.keep_managed_address() is
    'BEFORE UPDATE on auth.users: a managed account gets no address and no phone number of its own. Deleting one '
    'softly, which leaves no address, is allowed.';

create trigger trg_users_managed_address before update on auth.users
for each row when (
    old.raw_app_meta_data #>> '{lti,managed}' = 'true'
    and (
        new.email is distinct from old.email and new.email like '%@%'
        or new.email_change is distinct from old.email_change and new.email_change like '%@%'
        or new.phone is distinct from old.phone and new.phone ~ '^[0-9+]+$'
        or new.phone_change is distinct from old.phone_change and new.phone_change ~ '^[0-9+]+$'
    )
) execute function private.keep_managed_address();
