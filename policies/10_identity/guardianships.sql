-- Both sides see it; they change it by RPC (respond_guardianship, revoke_guardianship). Staff proposes, verifies,
-- deletes.

alter table public.guardianships enable row level security;

grant select on public.guardianships to authenticated;
grant select, insert, update, delete on public.guardianships to app_admin;
grant all on public.guardianships to service_role;

create policy select_own on public.guardianships for select to authenticated
using (parent_id = (select private.caller_id()) or student_id = (select private.caller_id()));
comment on policy select_own on public.guardianships is 'The parent and the student see it, whatever its state.';

create policy all_admin_of_now on public.guardianships as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.guardianships is
    'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.guardianships for select to app_admin
using (true);
comment on policy select_admin on public.guardianships is 'Staff see all.';

create policy insert_admin on public.guardianships for insert to app_admin
with check (true);
comment on policy insert_admin on public.guardianships is 'Staff propose; a new one is always pending.';

create policy update_admin on public.guardianships for update to app_admin
using (true)
with check (true);
comment on policy update_admin on public.guardianships is 'Staff record a verified minor, or end it; audited.';

create policy delete_admin on public.guardianships for delete to app_admin
using (true);
comment on policy delete_admin on public.guardianships is 'Staff delete one made by mistake; audited.';
