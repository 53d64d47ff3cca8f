-- People see the installations they can connect to; staff write the list. Nobody deletes over REST, because grants
-- refer to the rows.

alter table public.lms_connections enable row level security;

grant select on public.lms_connections to authenticated;
grant insert, update on public.lms_connections to app_admin;
grant all on public.lms_connections to service_role;

create policy select_active on public.lms_connections for select to authenticated
using (status = 'active' and (select private.caller_id()) is not null);
comment on policy select_active on public.lms_connections is 'Every signed-in person sees the active installations.';

create policy all_admin_of_now on public.lms_connections as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.lms_connections is
    'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.lms_connections for select to app_admin
using (true);
comment on policy select_admin on public.lms_connections is 'Staff see pending and disabled ones, too.';

create policy insert_admin on public.lms_connections for insert to app_admin
with check (true);
comment on policy insert_admin on public.lms_connections is 'Staff register installations.';

create policy update_admin on public.lms_connections for update to app_admin
using (true)
with check (true);
comment on policy update_admin on public.lms_connections is 'Staff edit, approve and disable installations.';

grant execute on function public.svc_propose_lms_connection(uuid, text, text)
to service_role;
