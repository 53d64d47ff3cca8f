-- Policies and column defaults run it with the rights of the person who reads or writes. The service writes rows by
-- REST too, and its inserts run the same defaults.

grant execute on function private.caller_id() to authenticated, service_role;
