-- Run inside policies, as the caller.

grant execute on function private.my_weeks() to authenticated;

grant execute on function private.my_socratic_sessions() to authenticated;

grant execute on function private.my_open_socratic_sessions() to authenticated;
