-- What the policies of this room ask about the caller.

create function private.my_threads()
returns uuid[]
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    return (select coalesce(array_agg(id), '{}') from public.threads where teacher_id = private.caller_id());
end
$$;

comment on function private.my_threads() is
    'Ids of the caller''s threads. An array, so that a policy on messages can drive an index.';
