-- Read by the person, by parents with consent, by tutors of all subjects and by staff. Nobody writes by REST.

alter table public.user_stats enable row level security;

grant select on public.user_stats to authenticated;
grant all on public.user_stats to service_role;

create policy select_related on public.user_stats for select to authenticated
using (
    user_id = any ((select private.reachable_students())::uuid[])
    and user_id <> all ((select private.partly_tutored_students())::uuid[])
);
comment on policy select_related on public.user_stats is
    'Own figures; those of children with consent; those of students tutored in all subjects.';

create policy select_wide_tutor on public.user_stats for select to app_wide_tutor
using (
    (
        select true from private.my_tutoring as t
        where t.student_id = user_stats.user_id and t.subject_id is null
        limit 1
    )
);
comment on policy select_wide_tutor on public.user_stats is
    'Figures of students a tutor of hundreds tutors in all subjects, asked row by row.';

create policy select_admin on public.user_stats for select to app_admin
using ((select private.is_admin()));
comment on policy select_admin on public.user_stats is 'Staff sees all figures.';
