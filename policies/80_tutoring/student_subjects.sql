-- Students write their own list; parents and all their tutors see it. A line is added or deleted, never changed.

alter table public.student_subjects enable row level security;

grant select on public.student_subjects to authenticated;
grant insert (student_id, subject_id) on public.student_subjects to authenticated;
grant delete on public.student_subjects to authenticated;
grant all on public.student_subjects to service_role;

create policy select_related on public.student_subjects for select to authenticated
using (
    student_id = any((select private.visible_students())::uuid[])
);
comment on policy select_related on public.student_subjects is
    'The student, the student''s parents, and tutors of any subject.';

create policy all_admin_of_now on public.student_subjects as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.student_subjects is
    'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.student_subjects for select to app_admin
using (true);
comment on policy select_admin on public.student_subjects is 'Staff see every list.';

create policy insert_own on public.student_subjects for insert to authenticated
with check (student_id = (select private.caller_id()));
comment on policy insert_own on public.student_subjects is 'Students add to their own list.';

create policy delete_own on public.student_subjects for delete to authenticated
using (student_id = (select private.caller_id()));
comment on policy delete_own on public.student_subjects is 'Students delete from their own list.';
