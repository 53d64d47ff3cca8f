-- Read by everybody signed in, kept by staff.

alter table public.related_subjects enable row level security;

grant select on public.related_subjects to authenticated;
grant insert (subject_id, related_subject_id) on public.related_subjects to app_admin;
grant update on public.related_subjects to app_admin;
grant delete on public.related_subjects to app_admin;
grant all on public.related_subjects to service_role;

create policy select_all on public.related_subjects for select to authenticated
using ((select private.caller_id()) is not null);
comment on policy select_all on public.related_subjects is 'Links between subjects are no secret.';

create policy all_admin_of_now on public.related_subjects as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.related_subjects is
    'What follows for staff lasts while the profile says admin.';

create policy insert_admin on public.related_subjects for insert to app_admin
with check (true);
comment on policy insert_admin on public.related_subjects is 'Staff add links between subjects.';

create policy update_admin on public.related_subjects for update to app_admin
using (true)
with check (true);
comment on policy update_admin on public.related_subjects is 'Staff change links between subjects.';

create policy delete_admin on public.related_subjects for delete to app_admin
using (true);
comment on policy delete_admin on public.related_subjects is 'Staff delete links between subjects.';
