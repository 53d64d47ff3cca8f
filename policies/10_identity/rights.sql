-- Policies run these with the rights of the person who asks, who therefore needs EXECUTE. Nobody but the owner has
-- usage on `private`, so they cannot be called by name.

grant execute on function private.is_admin() to app_admin;
grant execute on function private.guarded_students() to authenticated;
grant execute on function private.related_people() to authenticated;
