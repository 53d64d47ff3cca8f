-- A tutor puts items of the bank to his students and flags doubtful questions; scores and ratings are the service's.

alter table public.practice_assignments enable row level security;

grant select on public.practice_assignments to authenticated;
grant insert (student_id, bank_item_id, goal_tags) on public.practice_assignments to authenticated;
grant update (flagged) on public.practice_assignments to authenticated;
grant all on public.practice_assignments to service_role;

create policy select_visible on public.practice_assignments for select to authenticated
    using (
        student_id = any ((select private.reachable_students())::uuid[])
        and (
            student_id <> all ((select private.partly_tutored_students())::uuid[])
            or uuid_send(student_id) || uuid_send(subject_id) = any ((select private.subject_tutoring_keys())::bytea[])
        )
    );
comment on policy select_visible on public.practice_assignments is
    'The student, his parents, and his tutor of the subject.';

create policy select_wide_tutor on public.practice_assignments for select to app_wide_tutor
    using (
        (
            select true from private.my_tutoring as t
            where
                t.student_id = practice_assignments.student_id
                and (t.subject_id is null or t.subject_id = practice_assignments.subject_id)
            limit 1
        )
    );
comment on policy select_wide_tutor on public.practice_assignments is
    'A tutor of hundreds sees the same rows, asked row by row.';

create policy select_subject_tutor on public.practice_assignments for select to app_subject_tutor
    using (uuid_send(student_id) || uuid_send(subject_id) = any ((select private.subject_tutoring_keys())::bytea[]));
comment on policy select_subject_tutor on public.practice_assignments is
    'A tutor of one subject sees the same rows, found by student and subject.';

create policy select_admin on public.practice_assignments for select to app_admin
    using ((select private.is_admin()));
comment on policy select_admin on public.practice_assignments is 'Staff see every practice assignment.';

create policy insert_tutor on public.practice_assignments for insert to authenticated
    with check (source = 'bank' and private.tutors(student_id, subject_id));
comment on policy insert_tutor on public.practice_assignments is
    'A tutor puts an item of the bank to his student; its subject is filled in before this check.';

create policy update_tutor on public.practice_assignments for update to authenticated
    using (student_id = any ((select private.tutored_students())::uuid[]) and private.tutors(student_id, subject_id))
    with check (private.tutors(student_id, subject_id));
comment on policy update_tutor on public.practice_assignments is 'A tutor flags or clears a question of his student.';
