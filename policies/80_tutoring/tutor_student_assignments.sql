-- Only staff write it, because every right of a tutor follows from it. Both sides see it, paused and past ones, too.

alter table public.tutor_student_assignments enable row level security;

grant select on public.tutor_student_assignments to authenticated;
grant insert (
    id, tutor_id, student_id, subject_id, assigned_at, status, start_date, end_date
) on public.tutor_student_assignments to app_admin;
grant update on public.tutor_student_assignments to app_admin;
grant delete on public.tutor_student_assignments to app_admin;
grant all on public.tutor_student_assignments to service_role;

create policy select_parties on public.tutor_student_assignments for select to authenticated
using (
    tutor_id = (select private.caller_id())
    or student_id = (select private.caller_id())
    or student_id = any((select private.guarded_students())::uuid[])
);
comment on policy select_parties on public.tutor_student_assignments is
    'The tutor, the student, and the parents of the student.';

create policy all_admin_of_now on public.tutor_student_assignments as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.tutor_student_assignments is
    'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.tutor_student_assignments for select to app_admin
using (true);
comment on policy select_admin on public.tutor_student_assignments is 'Staff see every assignment.';

create policy insert_admin on public.tutor_student_assignments for insert to app_admin
with check (true);
comment on policy insert_admin on public.tutor_student_assignments is 'Staff add assignments.';

create policy update_admin on public.tutor_student_assignments for update to app_admin
using (true)
with check (true);
comment on policy update_admin on public.tutor_student_assignments is 'Staff change assignments.';

create policy delete_admin on public.tutor_student_assignments for delete to app_admin
using (true);
comment on policy delete_admin on public.tutor_student_assignments is 'Staff delete assignments.';
