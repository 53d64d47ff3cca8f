-- Run inside policies with the rights of the person who asks. Each answers about the caller alone.

grant execute on function private.is_tutor() to authenticated;
grant execute on function private.tutors(uuid, uuid) to authenticated;
grant execute on function private.tutored_students() to authenticated;
grant execute on function private.tutored_subjects() to authenticated;
grant execute on function private.partly_tutored_students() to authenticated;
grant execute on function private.own_and_tutored_students() to authenticated;
grant execute on function private.visible_students() to authenticated;
