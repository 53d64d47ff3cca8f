-- Written by svc_record_answer only.

alter table public.practice_reviews enable row level security;

grant select on public.practice_reviews to authenticated, service_role;

create policy select_visible on public.practice_reviews for select to authenticated
using (
    student_id = any((select private.own_and_tutored_students())::uuid[])
    and (
        student_id not in (select private.partly_tutored_students())
        or (student_id, subject_id) in (select t.student_id, t.subject_id from private.tutored_subjects() as t)
    )
);
comment on policy select_visible on public.practice_reviews is 'The student, and tutors of the subject.';
