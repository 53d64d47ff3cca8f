-- Who is calling. Inside a SECURITY DEFINER function current_user is the owner, so only the token tells the caller.
--
-- Every policy, function and column default asks here and nowhere else. An anonymous sign-in has a token with an id,
-- but no rights: it counts as nobody, so that no policy needs a condition of its own against it. Policies write
-- `(select private.caller_id())`, which runs once for a statement and may drive an index.

create function private.caller_id()
returns uuid
-- plpgsql keeps its plan between statements; a function in sql with a search path is planned anew at every call.
language plpgsql
stable
parallel safe
set search_path = ''
as $$
declare
    v_claims constant jsonb := auth.jwt();
begin
    return case when v_claims ->> 'is_anonymous' is distinct from 'true' then (v_claims ->> 'sub')::uuid end;
end
$$;

comment on function private.caller_id() is
    'The signed-in person behind this request; null without a token and for anonymous sign-ins.';

create function private.require_caller()
returns uuid
language plpgsql
stable
set search_path = ''
as $$
declare
    v_caller constant uuid := private.caller_id();
begin
    if v_caller is null then
        raise exception 'sign in first' using errcode = '42501';
    end if;
    return v_caller;
end
$$;

comment on function private.require_caller() is
    'private.caller_id() for functions that clients call: raises 42501 where there is nobody.';
