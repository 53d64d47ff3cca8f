-- Written by update_student_rating only.

alter table public.student_ratings enable row level security;

grant select on public.student_ratings to authenticated;
grant all on public.student_ratings to service_role;

create policy select_visible on public.student_ratings for select to authenticated
    using (
        student_id = any ((select private.reachable_students())::uuid[])
        and (
            student_id <> all ((select private.partly_tutored_students())::uuid[])
            or uuid_send(student_id) || uuid_send(subject_id) = any ((select private.subject_tutoring_keys())::bytea[])
        )
    );
comment on policy select_visible on public.student_ratings is
    'The student, his parents, and his tutor of the subject.';

create policy select_wide_tutor on public.student_ratings for select to app_wide_tutor
    using (
        (
            select true from private.my_tutoring as t
            where
                t.student_id = student_ratings.student_id
                and (t.subject_id is null or t.subject_id = student_ratings.subject_id)
            limit 1
        )
    );
comment on policy select_wide_tutor on public.student_ratings is
    'A tutor of hundreds sees the same rows, asked row by row.';

create policy select_subject_tutor on public.student_ratings for select to app_subject_tutor
    using (uuid_send(student_id) || uuid_send(subject_id) = any ((select private.subject_tutoring_keys())::bytea[]));
comment on policy select_subject_tutor on public.student_ratings is
    'A tutor of one subject sees the same rows, found by student and subject.';

create policy select_admin on public.student_ratings for select to app_admin
    using ((select private.is_admin()));
comment on policy select_admin on public.student_ratings is 'Staff see every rating.';
