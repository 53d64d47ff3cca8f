-- Written by update_student_rating only.

alter table public.student_ratings enable row level security;
revoke all on public.student_ratings from public, anon, authenticated, app_admin, service_role;

grant select on public.student_ratings to authenticated;
grant all on public.student_ratings to service_role;

create policy select_visible on public.student_ratings for select to authenticated
    using (
        student_id = any ((select private.visible_students())::uuid[])
        or uuid_send(student_id) || uuid_send(subject_id) = any ((select private.subject_tutoring_keys())::bytea[])
    );
comment on policy select_visible on public.student_ratings is
    'The student, his parents, and his tutor of the subject.';

create policy select_admin on public.student_ratings for select to app_admin
    using (true);
comment on policy select_admin on public.student_ratings is 'Staff see every rating.';
