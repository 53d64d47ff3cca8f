-- The student once he is done, his tutor before; parents never. Written by the service and apply_override.

alter table public.practice_assignment_answers enable row level security;
revoke all on public.practice_assignment_answers from public, anon, authenticated, app_admin, service_role;

grant select on public.practice_assignment_answers to authenticated;
grant all on public.practice_assignment_answers to service_role;

create policy all_not_anonymous on public.practice_assignment_answers as restrictive for all to authenticated
    using (((select auth.jwt()) ->> 'is_anonymous') is distinct from 'true')
    with check (((select auth.jwt()) ->> 'is_anonymous') is distinct from 'true');
comment on policy all_not_anonymous on public.practice_assignment_answers is 'Anonymous sign-ins have no rights here.';

create policy select_reader on public.practice_assignment_answers for select to authenticated
    using (
        exists (
            select from public.practice_assignments as a
            where a.id = practice_assignment_id
                and (
                    (a.student_id = (select auth.uid()) and a.completed)
                    or private.tutors(a.student_id, a.subject_id)
                )
        )
    );
comment on policy select_reader on public.practice_assignment_answers is
    'The student who is done, and his tutor of the subject.';
