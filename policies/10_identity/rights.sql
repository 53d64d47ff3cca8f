-- Policies run these as the caller, so he needs EXECUTE; he has no usage on `private` and cannot call them by name.

revoke all on function private.guards(uuid) from public, anon, authenticated, app_admin, service_role;
grant execute on function private.guards(uuid) to authenticated;

revoke all on function private.guarded_students() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.guarded_students() to authenticated;

revoke all on function private.my_guardians() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.my_guardians() to authenticated;

revoke all on function private.related_people() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.related_people() to authenticated;
