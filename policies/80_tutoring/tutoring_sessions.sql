-- Kept by the tutor who holds them, while he tutors the student; nobody but the service deletes one.

alter table public.tutoring_sessions enable row level security;

grant select on public.tutoring_sessions to authenticated;
grant insert (
    id, student_id, tutor_id, session_date, duration_minutes, subject_id, topics_covered
) on public.tutoring_sessions to authenticated;
grant update (
    session_date, duration_minutes, subject_id, topics_covered
) on public.tutoring_sessions to authenticated;
grant all on public.tutoring_sessions to service_role;

create policy select_visible on public.tutoring_sessions for select to authenticated
    using (
        student_id = any ((select private.reachable_students())::uuid[])
        and (
            student_id <> all ((select private.partly_tutored_students())::uuid[])
            or uuid_send(student_id) || uuid_send(subject_id) = any ((select private.subject_tutoring_keys())::bytea[])
        )
    );
comment on policy select_visible on public.tutoring_sessions is
    'The student, his parents, and his tutor of the subject.';

create policy select_wide_tutor on public.tutoring_sessions for select to app_wide_tutor
    using (
        (
            select true from private.my_tutoring as t
            where
                t.student_id = tutoring_sessions.student_id
                and (t.subject_id is null or t.subject_id = tutoring_sessions.subject_id)
            limit 1
        )
    );
comment on policy select_wide_tutor on public.tutoring_sessions is
    'A tutor of hundreds sees the same rows, asked row by row.';

create policy select_subject_tutor on public.tutoring_sessions for select to app_subject_tutor
    using (uuid_send(student_id) || uuid_send(subject_id) = any ((select private.subject_tutoring_keys())::bytea[]));
comment on policy select_subject_tutor on public.tutoring_sessions is
    'A tutor of one subject sees the same rows, found by student and subject.';

create policy select_admin on public.tutoring_sessions for select to app_admin
    using ((select private.is_admin()));
comment on policy select_admin on public.tutoring_sessions is 'Staff see every session.';

create policy insert_tutor on public.tutoring_sessions for insert to authenticated
    with check (tutor_id = (select private.caller_id()) and private.tutors(student_id, subject_id));
comment on policy insert_tutor on public.tutoring_sessions is
    'A tutor plans or records his own session with a student of his.';

create policy update_tutor on public.tutoring_sessions for update to authenticated
    using (tutor_id = (select private.caller_id()) and private.tutors(student_id, subject_id))
    with check (tutor_id = (select private.caller_id()) and private.tutors(student_id, subject_id));
comment on policy update_tutor on public.tutoring_sessions is
    'A tutor changes his own session while he tutors the student.';
