-- Read by everybody signed in, kept by staff.

alter table public.subjects enable row level security;

grant select on public.subjects to authenticated;
grant insert (id, name, category, description) on public.subjects to app_admin;
grant update on public.subjects to app_admin;
grant delete on public.subjects to app_admin;
grant all on public.subjects to service_role;

create policy select_all on public.subjects for select to authenticated
using ((select private.caller_id()) is not null);
comment on policy select_all on public.subjects is 'Subjects are no secret.';

create policy all_admin_of_now on public.subjects as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.subjects is 'What follows for staff lasts while the profile says admin.';

create policy insert_admin on public.subjects for insert to app_admin
with check (true);
comment on policy insert_admin on public.subjects is 'Staff add subjects.';

create policy update_admin on public.subjects for update to app_admin
using (true)
with check (true);
comment on policy update_admin on public.subjects is 'Staff change subjects.';

create policy delete_admin on public.subjects for delete to app_admin
using (true);
comment on policy delete_admin on public.subjects is 'Staff delete subjects.';
