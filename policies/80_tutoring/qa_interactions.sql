-- The service writes it; apply_override corrects it. Parents and staff do not read what a student asks.

alter table public.qa_interactions enable row level security;

grant select on public.qa_interactions to authenticated;
grant all on public.qa_interactions to service_role;

create policy select_visible on public.qa_interactions for select to authenticated
using (
    student_id = any((select private.own_and_tutored_students())::uuid[])
    and (
        student_id not in (select private.partly_tutored_students())
        or escalated_to_tutor_id = (select private.caller_id())
    )
);
comment on policy select_visible on public.qa_interactions is
    'The student, tutors of all subjects, and the tutor it was escalated to while tutoring the student.';
