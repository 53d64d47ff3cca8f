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

create function private.person()
returns uuid
-- plpgsql keeps its plans between statements; policies ask this at every request
language plpgsql
stable
set search_path = ''
as $$
begin
    return case when auth.jwt() ->> 'is_anonymous' is distinct from 'true' then auth.uid() end;
end
$$;

comment on function private.person() is
    'The signed-in person, null for nobody and for anonymous sign-ins: private.caller() for sets, which must not raise.';
