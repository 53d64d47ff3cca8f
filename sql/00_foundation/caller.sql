-- Who is calling, for SECURITY DEFINER functions: there current_user is the owner, and only the token tells the caller.

create function private.caller()
returns uuid
language plpgsql
stable
set search_path = ''
as $$
declare
    v_caller uuid := auth.uid();
begin
    if v_caller is null or auth.jwt() ->> 'is_anonymous' = 'true' then
        raise exception 'sign in first' using errcode = '42501';
    end if;
    return v_caller;
end
$$;

comment on function private.caller() is
    'The signed-in person behind this request; 42501 without one, and for anonymous sign-ins, which have no rights here.';
