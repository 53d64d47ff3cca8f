-- Students read it once they completed the question, their tutors at any time, parents never. The service and
-- apply_override write it.

alter table public.practice_assignment_answers enable row level security;

grant select on public.practice_assignment_answers to authenticated;
grant all on public.practice_assignment_answers to service_role;

create policy select_reader on public.practice_assignment_answers for select to authenticated
using (
    exists (
        select from public.practice_assignments as a
        where
            a.id = practice_assignment_id
            and (
                (a.student_id = (select private.caller_id()) and a.completed)
                or private.tutors(a.student_id, a.subject_id)
            )
    )
);
comment on policy select_reader on public.practice_assignment_answers is
    'The student who completed the question, and tutors of the subject.';
