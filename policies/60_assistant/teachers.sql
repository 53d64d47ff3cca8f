-- Teachers read their own row and may correct their name; staff read all. The service makes rows, at an LTI launch or a
-- Canvas connection; they are deleted with the account.

alter table public.teachers enable row level security;

grant select on public.teachers to authenticated;
grant update on public.teachers to authenticated;
grant all on public.teachers to service_role;

create policy select_own on public.teachers for select to authenticated
using (id = (select private.caller_id()));
comment on policy select_own on public.teachers is 'Teachers see their own row.';

create policy all_admin_of_now on public.teachers as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.teachers is 'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.teachers for select to app_admin
using (true);
comment on policy select_admin on public.teachers is 'Staff see every teacher.';

create policy update_own on public.teachers for update to authenticated
using (id = (select private.caller_id()))
with check (id = (select private.caller_id()));
comment on policy update_own on public.teachers is 'Teachers may correct their name.';
