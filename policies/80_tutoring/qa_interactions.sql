-- Written by the service, corrected by apply_override. Parents and staff do not read what a student asks.

alter table public.qa_interactions enable row level security;

grant select on public.qa_interactions to authenticated;
grant all on public.qa_interactions to service_role;

create policy select_visible on public.qa_interactions for select to authenticated
    using (
        student_id = any ((select private.own_and_listed_students())::uuid[])
        and (
            student_id <> all ((select private.partly_tutored_students())::uuid[])
            or escalated_to_tutor_id = (select private.caller_id())
        )
    );
comment on policy select_visible on public.qa_interactions is
    'The student, his tutor in all subjects, and the tutor it was handed to while he tutors the student.';

create policy select_wide_tutor on public.qa_interactions for select to app_wide_tutor
    using (
        (
            select true from private.my_tutoring as t
            where
                t.student_id = qa_interactions.student_id
                and (t.subject_id is null or qa_interactions.escalated_to_tutor_id = (select private.caller_id()))
            limit 1
        )
    );
comment on policy select_wide_tutor on public.qa_interactions is
    'A tutor of hundreds sees the same rows, asked row by row.';

create policy select_subject_tutor on public.qa_interactions for select to app_subject_tutor
    using (
        escalated_to_tutor_id = (select private.caller_id())
        and student_id = any ((select private.subject_tutored_students())::uuid[])
    );
comment on policy select_subject_tutor on public.qa_interactions is
    'A tutor of one subject sees the questions handed to him.';
