-- Written by the service, corrected by apply_override. Parents and staff do not read what a student asks.

alter table public.qa_interactions enable row level security;
revoke all on public.qa_interactions from public, anon, authenticated, app_admin, service_role;

grant select on public.qa_interactions to authenticated;
grant all on public.qa_interactions to service_role;

create policy select_visible on public.qa_interactions for select to authenticated
    using (
        student_id = any ((select private.own_and_tutored_students())::uuid[])
        or id = any ((select private.escalated_questions())::uuid[])
    );
comment on policy select_visible on public.qa_interactions is
    'The student, his tutor in all subjects, and the tutor it was handed to while he tutors the student.';
