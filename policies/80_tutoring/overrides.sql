-- Written by apply_override only, never changed. The student sees the corrected row, not the correction.

alter table public.overrides enable row level security;

grant select on public.overrides to authenticated;
grant all on public.overrides to service_role;

create policy select_tutor on public.overrides for select to authenticated
    using (
        student_id = any ((select private.listed_students())::uuid[])
        and (
            student_id <> all ((select private.partly_tutored_students())::uuid[])
            or uuid_send(student_id) || uuid_send(subject_id) = any ((select private.subject_tutoring_keys())::bytea[])
            or tutor_id = (select private.caller_id())
        )
    );
comment on policy select_tutor on public.overrides is
    'Tutors of the student in the subject, and the author while he tutors the student.';

create policy select_wide_tutor on public.overrides for select to app_wide_tutor
    using (
        (
            select true from private.my_tutoring as t
            where
                t.student_id = overrides.student_id
                and (
                    t.subject_id is null
                    or t.subject_id = overrides.subject_id
                    or overrides.tutor_id = (select private.caller_id())
                )
            limit 1
        )
    );
comment on policy select_wide_tutor on public.overrides is
    'A tutor of hundreds sees the same rows, asked row by row.';

create policy select_subject_tutor on public.overrides for select to app_subject_tutor
    using (
        uuid_send(student_id) || uuid_send(subject_id) = any ((select private.subject_tutoring_keys())::bytea[])
        or (tutor_id = (select private.caller_id()) and student_id = any ((select private.subject_tutored_students())::uuid[]))
    );
comment on policy select_subject_tutor on public.overrides is
    'A tutor of one subject sees the same rows, found by student and subject, or as his own.';

create policy select_admin on public.overrides for select to app_admin
    using ((select private.is_admin()));
comment on policy select_admin on public.overrides is 'Staff see every override.';
