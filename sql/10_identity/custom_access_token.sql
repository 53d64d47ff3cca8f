-- The custom access token hook of Auth, run as supabase_auth_admin on every sign-in and refresh. Invoker rights: it
-- reads profiles by a grant and a policy of that role, so nothing here can be used to see more.

create function private.custom_access_token(event jsonb)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
    v_role public.user_role;
begin
    -- An account that Canvas made has no credentials of its own: a teacher removed there must not stay by a password.
    -- Our LTI hand-off redeems a one-time link, which Auth calls otp.
    if event #>> '{claims,app_metadata,lti,managed}' = 'true'
        and coalesce(event ->> 'authentication_method', '') not in ('otp', 'token_refresh') then
        return jsonb_build_object(
            'error',
            jsonb_build_object('http_code', 403, 'message', 'This account signs in from Canvas. Open the tool there.')
        );
    end if;

    select role into v_role from public.profiles where user_id = (event ->> 'user_id')::uuid;
    event := jsonb_set(event, '{claims,user_role}', to_jsonb(coalesce(v_role, 'student')));
    if v_role = 'admin' then
        event := jsonb_set(event, '{claims,role}', '"app_admin"');
    end if;
    return event;
end
$$;

comment on function private.custom_access_token(jsonb) is
    'Adds user_role to every access token, and its database role to those of staff. Refuses any sign-in of a managed '
    'LTI account but the one-time link of our own hand-off. An account without profile counts as student.';
