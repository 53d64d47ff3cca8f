-- Run inside policies, as the caller; each answers about the caller only. tutors and tutors_any check single rows.

revoke all on function private.tutor() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.tutor() to authenticated;

revoke all on function private.is_tutor() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.is_tutor() to authenticated;

revoke all on function private.tutors(uuid, uuid) from public, anon, authenticated, app_admin, service_role;
grant execute on function private.tutors(uuid, uuid) to authenticated;

revoke all on function private.tutors_any(uuid) from public, anon, authenticated, app_admin, service_role;
grant execute on function private.tutors_any(uuid) to authenticated;

revoke all on function private.tutored_students() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.tutored_students() to authenticated;

revoke all on function private.listed_students() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.listed_students() to authenticated;

revoke all on function private.partly_tutored_students() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.partly_tutored_students() to authenticated;

revoke all on function private.subject_tutored_students() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.subject_tutored_students() to authenticated;

revoke all on function private.subject_tutoring_keys() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.subject_tutoring_keys() to authenticated;

revoke all on function private.own_and_listed_students() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.own_and_listed_students() to authenticated;

revoke all on function private.reachable_students() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.reachable_students() to authenticated;

revoke all on function private.my_tutors() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.my_tutors() to authenticated;

revoke all on function private.tutors_of_guarded_students() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.tutors_of_guarded_students() to authenticated;

-- They show the caller's own assignments only, so whoever may ask may read them.
revoke all on private.my_students from public, anon, authenticated, app_admin, app_wide_tutor, service_role;
grant select on private.my_students to app_wide_tutor;
revoke all on private.my_tutoring from public, anon, authenticated, app_admin, app_wide_tutor, service_role;
grant select on private.my_tutoring to app_wide_tutor;

-- Asked by the access token hook.
revoke all on function private.tutor_role(uuid) from public, anon, authenticated, app_admin, service_role;
grant execute on function private.tutor_role(uuid) to supabase_auth_admin;
