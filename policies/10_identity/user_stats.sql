-- Read by the person, by parents with consent, by tutors of all subjects and by staff. Nobody writes by REST.

alter table public.user_stats enable row level security;

grant select on public.user_stats to authenticated;
grant all on public.user_stats to service_role;

create policy select_related on public.user_stats for select to authenticated
using (
    user_id = any((select private.visible_students())::uuid[])
    and user_id not in (select private.partly_tutored_students())
);
comment on policy select_related on public.user_stats is
    'Own figures; those of children with consent; those of students tutored in all subjects.';

create policy all_admin_of_now on public.user_stats as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.user_stats is 'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.user_stats for select to app_admin
using (true);
comment on policy select_admin on public.user_stats is 'Staff see all figures.';
