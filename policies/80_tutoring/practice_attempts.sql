-- Answers are for the student and tutors of the subject, never for parents or staff. Only svc_record_answer and
-- grade_practice write them, and nobody deletes one alone.

alter table public.practice_attempts enable row level security;

grant select on public.practice_attempts to authenticated, service_role;

create policy select_visible on public.practice_attempts for select to authenticated
using (
    student_id = any((select private.own_and_tutored_students())::uuid[])
    and (
        student_id not in (select private.partly_tutored_students())
        or (student_id, subject_id) in (select t.student_id, t.subject_id from private.tutored_subjects() as t)
    )
);
comment on policy select_visible on public.practice_attempts is 'The student, and tutors of the subject.';
