-- Everybody sees the agents in use; staff see all and write them.

alter table public.agents enable row level security;

grant select on public.agents to authenticated;
grant insert (id, type, name, description, is_active, version) on public.agents to app_admin;
grant update on public.agents to app_admin;
grant delete on public.agents to app_admin;
grant all on public.agents to service_role;

create policy select_active on public.agents for select to authenticated
using (is_active and (select private.caller_id()) is not null);
comment on policy select_active on public.agents is 'Everybody sees the agents in use.';

create policy all_admin_of_now on public.agents as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.agents is 'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.agents for select to app_admin
using (true);
comment on policy select_admin on public.agents is 'Staff see every agent.';

create policy insert_admin on public.agents for insert to app_admin
with check (true);
comment on policy insert_admin on public.agents is 'Staff add agents.';

create policy update_admin on public.agents for update to app_admin
using (true)
with check (true);
comment on policy update_admin on public.agents is 'Staff change agents.';

create policy delete_admin on public.agents for delete to app_admin
using (true);
comment on policy delete_admin on public.agents is 'Staff delete agents.';
