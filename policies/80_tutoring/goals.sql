-- Students, and their tutors of the subject, set and change goals; parents read them. The service writes progress. A
-- student can cancel a tutor's goal, but not delete it.

alter table public.goals enable row level security;

grant select on public.goals to authenticated;
grant insert (
    id, created_by, student_id, subject_id, goal_type, title, description, target_completion_date, target_count,
    target_kind
) on public.goals to authenticated;
grant update on public.goals to authenticated;
grant delete on public.goals to authenticated;
grant all on public.goals to service_role;

create policy select_visible on public.goals for select to authenticated
using (
    student_id = any((select private.visible_students())::uuid[])
    and (
        student_id not in (select private.partly_tutored_students())
        or (student_id, subject_id) in (select t.student_id, t.subject_id from private.tutored_subjects() as t)
    )
);
comment on policy select_visible on public.goals is 'The student, the student''s parents, and tutors of the subject.';

create policy all_admin_of_now on public.goals as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.goals is 'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.goals for select to app_admin
using (true);
comment on policy select_admin on public.goals is 'Staff see every goal.';

create policy insert_shaper on public.goals for insert to authenticated
with check (
    created_by = (select private.caller_id())
    and (student_id = (select private.caller_id()) or private.tutors(student_id, subject_id))
);
comment on policy insert_shaper on public.goals is
    'Students for themselves, or their tutors of the subject; created_by says who.';

create policy update_shaper on public.goals for update to authenticated
using (
    student_id = (select private.caller_id())
    or (student_id = any((select private.tutored_students())::uuid[]) and private.tutors(student_id, subject_id))
)
with check (
    student_id = (select private.caller_id())
    or (student_id = any((select private.tutored_students())::uuid[]) and private.tutors(student_id, subject_id))
);
comment on policy update_shaper on public.goals is 'The student, or a tutor of the subject; parents only read.';

create policy delete_author on public.goals for delete to authenticated
using (student_id = (select private.caller_id()) and created_by = (select private.caller_id()));
comment on policy delete_author on public.goals is 'Students delete goals that they set themselves.';

create policy delete_admin on public.goals for delete to app_admin
using (true);
comment on policy delete_admin on public.goals is 'Staff delete goals.';
