-- Written by the service, corrected by apply_override.

alter table public.summaries enable row level security;

grant select on public.summaries to authenticated;
grant all on public.summaries to service_role;

create policy select_visible on public.summaries for select to authenticated
using (
    student_id = any((select private.visible_students())::uuid[])
    and (
        student_id not in (select private.partly_tutored_students())
        or (student_id, subject_id) in (select t.student_id, t.subject_id from private.tutored_subjects() as t)
    )
);
comment on policy select_visible on public.summaries is
    'The student, the student''s parents, and tutors of the session''s subject.';

create policy all_admin_of_now on public.summaries as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.summaries is 'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.summaries for select to app_admin
using (true);
comment on policy select_admin on public.summaries is 'Staff see every summary.';
