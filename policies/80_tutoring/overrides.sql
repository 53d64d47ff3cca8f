-- Written by apply_override only, never changed. The student sees the corrected row, not the correction.

alter table public.overrides enable row level security;

grant select on public.overrides to authenticated;
grant all on public.overrides to service_role;

create policy select_tutor on public.overrides for select to authenticated
using (
    student_id = any((select private.tutored_students())::uuid[])
    and (
        student_id not in (select private.partly_tutored_students())
        or (student_id, subject_id) in (select t.student_id, t.subject_id from private.tutored_subjects() as t)
        or tutor_id = (select private.caller_id())
    )
);
comment on policy select_tutor on public.overrides is
    'Tutors of the student in the subject, and the author while tutoring the student.';

create policy all_admin_of_now on public.overrides as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.overrides is 'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.overrides for select to app_admin
using (true);
comment on policy select_admin on public.overrides is 'Staff see every override.';
