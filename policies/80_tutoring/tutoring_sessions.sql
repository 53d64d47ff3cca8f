-- Tutors write their own sessions while they tutor the student; only the service deletes one.

alter table public.tutoring_sessions enable row level security;

grant select on public.tutoring_sessions to authenticated;
grant insert (
    id, student_id, tutor_id, session_date, duration_minutes, subject_id, topics_covered
) on public.tutoring_sessions to authenticated;
grant update on public.tutoring_sessions to authenticated;
grant all on public.tutoring_sessions to service_role;

create policy select_visible on public.tutoring_sessions for select to authenticated
using (
    student_id = any((select private.visible_students())::uuid[])
    and (
        student_id not in (select private.partly_tutored_students())
        or (student_id, subject_id) in (select t.student_id, t.subject_id from private.tutored_subjects() as t)
    )
);
comment on policy select_visible on public.tutoring_sessions is
    'The student, the student''s parents, and tutors of the subject.';

create policy all_admin_of_now on public.tutoring_sessions as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.tutoring_sessions is
    'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.tutoring_sessions for select to app_admin
using (true);
comment on policy select_admin on public.tutoring_sessions is 'Staff see every session.';

create policy insert_tutor on public.tutoring_sessions for insert to authenticated
with check (tutor_id = (select private.caller_id()) and private.tutors(student_id, subject_id));
comment on policy insert_tutor on public.tutoring_sessions is
    'Tutors plan or record their own sessions with their students.';

create policy update_tutor on public.tutoring_sessions for update to authenticated
using (tutor_id = (select private.caller_id()) and private.tutors(student_id, subject_id))
with check (tutor_id = (select private.caller_id()) and private.tutors(student_id, subject_id));
comment on policy update_tutor on public.tutoring_sessions is
    'Tutors change their own sessions while they tutor the student.';
