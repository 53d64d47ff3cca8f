-- A student keeps his own list; parents and every tutor of his see it. A line is added or deleted, never changed.

alter table public.student_subjects enable row level security;

grant select on public.student_subjects to authenticated;
grant insert (student_id, subject_id) on public.student_subjects to authenticated;
grant delete on public.student_subjects to authenticated;
grant all on public.student_subjects to service_role;

create policy select_related on public.student_subjects for select to authenticated
    using (
        student_id = any ((select private.reachable_students())::uuid[])
    );
comment on policy select_related on public.student_subjects is
    'The student, his parents, and his tutors of any subject.';

create policy select_wide_tutor on public.student_subjects for select to app_wide_tutor
    using (
        (
            select true from private.my_tutoring as t
            where t.student_id = student_subjects.student_id
            limit 1
        )
    );
comment on policy select_wide_tutor on public.student_subjects is
    'A tutor of hundreds sees the lists of all his students, asked row by row.';

create policy select_subject_tutor on public.student_subjects for select to app_subject_tutor
    using (student_id = any ((select private.subject_tutored_students())::uuid[]));
comment on policy select_subject_tutor on public.student_subjects is
    'A tutor of one subject sees the lists of all his students.';

create policy select_admin on public.student_subjects for select to app_admin
    using ((select private.is_admin()));
comment on policy select_admin on public.student_subjects is 'Staff see every list.';

create policy insert_own on public.student_subjects for insert to authenticated
    with check (student_id = (select private.caller_id()));
comment on policy insert_own on public.student_subjects is 'A student adds to his own list.';

create policy delete_own on public.student_subjects for delete to authenticated
    using (student_id = (select private.caller_id()));
comment on policy delete_own on public.student_subjects is 'A student takes from his own list.';
