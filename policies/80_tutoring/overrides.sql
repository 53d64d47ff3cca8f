-- Written by apply_override only, never changed. The student sees the corrected row, not the correction.

alter table public.overrides enable row level security;
revoke all on public.overrides from public, anon, authenticated, app_admin, service_role;

grant select on public.overrides to authenticated;
grant all on public.overrides to service_role;

create policy select_tutor on public.overrides for select to authenticated
    using (
        student_id = any ((select private.tutored_students())::uuid[])
        or uuid_send(student_id) || uuid_send(subject_id) = any ((select private.subject_tutoring_keys())::bytea[])
        or (tutor_id = (select auth.uid()) and student_id = any ((select private.tutored_students_any())::uuid[]))
    );
comment on policy select_tutor on public.overrides is
    'Tutors of the student in the subject, and the author while he tutors the student.';

create policy select_admin on public.overrides for select to app_admin
    using (true);
comment on policy select_admin on public.overrides is 'Staff see every override.';

revoke all on function private.check_override_target() from public, anon, authenticated, app_admin, service_role;
