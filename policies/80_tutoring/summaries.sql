-- Written by the service, corrected by apply_override.

alter table public.summaries enable row level security;

grant select on public.summaries to authenticated;
grant all on public.summaries to service_role;

create policy select_visible on public.summaries for select to authenticated
    using (
        student_id = any ((select private.reachable_students())::uuid[])
        and (
            student_id <> all ((select private.partly_tutored_students())::uuid[])
            or uuid_send(student_id) || uuid_send(subject_id) = any ((select private.subject_tutoring_keys())::bytea[])
        )
    );
comment on policy select_visible on public.summaries is
    'The student, his parents, and his tutor of the session''s subject.';

create policy select_wide_tutor on public.summaries for select to app_wide_tutor
    using (
        (
            select true from private.my_tutoring as t
            where
                t.student_id = summaries.student_id
                and (t.subject_id is null or t.subject_id = summaries.subject_id)
            limit 1
        )
    );
comment on policy select_wide_tutor on public.summaries is
    'A tutor of hundreds sees the same rows, asked row by row.';

create policy select_subject_tutor on public.summaries for select to app_subject_tutor
    using (uuid_send(student_id) || uuid_send(subject_id) = any ((select private.subject_tutoring_keys())::bytea[]));
comment on policy select_subject_tutor on public.summaries is
    'A tutor of one subject sees the same rows, found by student and subject.';

create policy select_admin on public.summaries for select to app_admin
    using ((select private.is_admin()));
comment on policy select_admin on public.summaries is 'Staff see every summary.';
