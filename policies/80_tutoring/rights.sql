-- Run inside policies, as the caller; each answers about the caller only. tutors and tutors_any check single rows.

grant execute on function private.tutor() to authenticated;
grant execute on function private.is_tutor() to authenticated;
grant execute on function private.tutors(uuid, uuid) to authenticated;
grant execute on function private.tutors_any(uuid) to authenticated;
grant execute on function private.tutored_students() to authenticated;
grant execute on function private.listed_students() to authenticated;
grant execute on function private.partly_tutored_students() to authenticated;
grant execute on function private.subject_tutored_students() to authenticated;
grant execute on function private.subject_tutoring_keys() to authenticated;
grant execute on function private.own_and_listed_students() to authenticated;
grant execute on function private.reachable_students() to authenticated;
grant execute on function private.my_tutors() to authenticated;
grant execute on function private.tutors_of_guarded_students() to authenticated;

-- They show the caller's own assignments only, so whoever may ask may read them.
grant select on private.my_students to app_wide_tutor;
grant select on private.my_tutoring to app_wide_tutor;

-- Asked by the access token hook.
grant execute on function private.tutor_role(uuid) to supabase_auth_admin;
