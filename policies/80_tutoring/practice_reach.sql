-- Run inside policies, as the caller.

grant execute on function private.my_practice_items() to authenticated;

grant execute on function private.my_completed_items() to authenticated;
