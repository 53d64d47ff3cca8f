-- What the policies of this room ask about the caller. Arrays, so that they can drive an index.

create function private.my_weeks()
returns uuid[]
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    return (select coalesce(array_agg(id), '{}') from public.weeks where user_id = private.caller_id());
end
$$;

comment on function private.my_weeks() is 'Ids of the caller''s weeks.';

create function private.my_socratic_sessions()
returns uuid[]
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    return (select coalesce(array_agg(id), '{}') from public.socratic_sessions where user_id = private.caller_id());
end
$$;

comment on function private.my_socratic_sessions() is 'Ids of the caller''s socratic sessions, open or ended.';

create function private.my_open_socratic_sessions()
returns uuid[]
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    return (
        select coalesce(array_agg(id), '{}') from public.socratic_sessions
        where user_id = private.caller_id() and ended_at is null
    );
end
$$;

comment on function private.my_open_socratic_sessions() is
    'Ids of the caller''s socratic sessions that may still be spoken in.';
