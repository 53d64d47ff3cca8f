-- What the policies of this room ask about the caller.

create function private.my_subscriptions()
returns uuid[]
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    return array(select id from public.subscriptions where user_id = private.caller_id());
end
$$;

comment on function private.my_subscriptions() is 'Ids of the caller''s subscriptions, past ones too.';
