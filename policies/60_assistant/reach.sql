-- Run inside policies, as the caller.

grant execute on function private.my_threads() to authenticated;
