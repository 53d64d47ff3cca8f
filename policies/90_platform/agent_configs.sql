-- Staff only.

alter table public.agent_configs enable row level security;

grant select on public.agent_configs to app_admin;
grant insert (agent_id, config) on public.agent_configs to app_admin;
grant update on public.agent_configs to app_admin;
grant delete on public.agent_configs to app_admin;
grant all on public.agent_configs to service_role;

create policy all_admin_of_now on public.agent_configs as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.agent_configs is
    'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.agent_configs for select to app_admin
using (true);
comment on policy select_admin on public.agent_configs is 'Staff read prompts and settings.';

create policy insert_admin on public.agent_configs for insert to app_admin
with check (true);
comment on policy insert_admin on public.agent_configs is 'Staff write prompts and settings.';

create policy update_admin on public.agent_configs for update to app_admin
using (true)
with check (true);
comment on policy update_admin on public.agent_configs is 'Staff change prompts and settings.';

create policy delete_admin on public.agent_configs for delete to app_admin
using (true);
comment on policy delete_admin on public.agent_configs is 'Staff delete prompts and settings.';
