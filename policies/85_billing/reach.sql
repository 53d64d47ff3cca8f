-- Run inside policies, as the caller.

grant execute on function private.my_subscriptions() to authenticated;
