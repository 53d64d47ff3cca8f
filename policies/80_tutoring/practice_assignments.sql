-- Tutors assign items of the bank to their students and flag doubtful questions; the service writes scores and ratings.

alter table public.practice_assignments enable row level security;

grant select on public.practice_assignments to authenticated;
grant insert (id, student_id, bank_item_id, goal_tags) on public.practice_assignments to authenticated;
grant update on public.practice_assignments to authenticated;
grant all on public.practice_assignments to service_role;

create policy select_visible on public.practice_assignments for select to authenticated
using (
    student_id = any((select private.visible_students())::uuid[])
    and (
        student_id not in (select private.partly_tutored_students())
        or (student_id, subject_id) in (select t.student_id, t.subject_id from private.tutored_subjects() as t)
    )
);
comment on policy select_visible on public.practice_assignments is
    'The student, the student''s parents, and tutors of the subject.';

create policy all_admin_of_now on public.practice_assignments as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.practice_assignments is
    'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.practice_assignments for select to app_admin
using (true);
comment on policy select_admin on public.practice_assignments is 'Staff see every practice assignment.';

create policy insert_tutor on public.practice_assignments for insert to authenticated
with check (source = 'bank' and private.tutors(student_id, subject_id));
comment on policy insert_tutor on public.practice_assignments is
    'Tutors assign an item of the bank to their students; a trigger sets its subject before this check.';

create policy update_tutor on public.practice_assignments for update to authenticated
using (student_id = any((select private.tutored_students())::uuid[]) and private.tutors(student_id, subject_id))
with check (private.tutors(student_id, subject_id));
comment on policy update_tutor on public.practice_assignments is 'Tutors flag or clear questions of their students.';
