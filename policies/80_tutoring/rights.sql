-- Run inside policies, as the caller; each answers about the caller only. tutors and tutors_any check single rows.

revoke all on function private.tutors(uuid, uuid) from public, anon, authenticated, app_admin, service_role;
grant execute on function private.tutors(uuid, uuid) to authenticated;

revoke all on function private.tutors_any(uuid) from public, anon, authenticated, app_admin, service_role;
grant execute on function private.tutors_any(uuid) to authenticated;

revoke all on function private.is_tutor() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.is_tutor() to authenticated;

revoke all on function private.tutored_students() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.tutored_students() to authenticated;

revoke all on function private.tutored_students_any() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.tutored_students_any() to authenticated;

revoke all on function private.subject_tutoring_keys() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.subject_tutoring_keys() to authenticated;

revoke all on function private.own_and_tutored_students() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.own_and_tutored_students() to authenticated;

revoke all on function private.visible_students() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.visible_students() to authenticated;

revoke all on function private.my_tutors() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.my_tutors() to authenticated;

revoke all on function private.tutors_of_guarded_students() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.tutors_of_guarded_students() to authenticated;

revoke all on function private.escalated_questions() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.escalated_questions() to authenticated;
