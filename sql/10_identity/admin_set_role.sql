-- Granted to app_admin alone. A token keeps that role after its owner lost it, so the function asks the profile as
-- well; otherwise a demoted administrator could promote themselves again.

create function private.admin_set_role(p_user_id uuid, p_role text)
returns public.profiles
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_profile public.profiles;
begin
    perform private.require_admin();
    if p_user_id is null or p_role is null then
        raise exception 'p_user_id and p_role must not be null' using errcode = '22004';
    end if;
    if p_role <> all (enum_range(null::public.user_role)::text[]) then
        raise exception 'p_role must be one of %', array_to_string(enum_range(null::public.user_role), ', ')
            using errcode = '22023';
    end if;
    update public.profiles set role = p_role::public.user_role where user_id = p_user_id returning * into v_profile;
    if not found then
        raise exception 'no person has the id in p_user_id' using errcode = 'PT404';
    end if;
    return v_profile;
end
$$;

comment on function private.admin_set_role(uuid, text) is 'Behind public.admin_set_role().';

create function public.admin_set_role(p_user_id uuid, p_role text)
returns public.profiles
language sql
volatile
set search_path = ''
begin atomic
    select private.admin_set_role(p_user_id, p_role);
end;

comment on function public.admin_set_role(uuid, text) is
    'Staff gives an account another role; see private.on_role_change for what ends with the old one. The new role is '
    'in the person''s token from its next refresh on. PT404, 22023 for an unknown role.';
