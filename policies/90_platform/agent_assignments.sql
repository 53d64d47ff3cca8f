-- Read by the owner of the dialogue, job or week; written by the service.

alter table public.agent_assignments enable row level security;

grant select on public.agent_assignments to authenticated;
grant all on public.agent_assignments to service_role;

create policy select_own on public.agent_assignments for select to authenticated
using (id = any((select private.my_agent_assignments())::uuid[]));
comment on policy select_own on public.agent_assignments is 'The owner of the dialogue, job or week.';

create policy all_admin_of_now on public.agent_assignments as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.agent_assignments is
    'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.agent_assignments for select to app_admin
using (true);
comment on policy select_admin on public.agent_assignments is 'Staff see all work of agents.';

grant execute on function private.my_agent_assignments() to authenticated;

grant execute on function public.svc_find_agent(public.agent_type) to service_role;

grant execute on function public.svc_assign_agent(public.agent_type, uuid, uuid) to service_role;
