-- Own row only, not even for staff. People make it when they first change a setting.

alter table public.planner_settings enable row level security;

grant select, update,
insert (
    user_id, working_hours, block_minutes, break_minutes, max_minutes_per_day, buffer_hours, auto_replan
) on public.planner_settings to authenticated;
grant all on public.planner_settings to service_role;

create policy select_own on public.planner_settings for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.planner_settings is 'People read their own settings.';

create policy insert_own on public.planner_settings for insert to authenticated
with check (user_id = (select private.caller_id()));
comment on policy insert_own on public.planner_settings is 'People make their own settings.';

create policy update_own on public.planner_settings for update to authenticated
using (user_id = (select private.caller_id()))
with check (user_id = (select private.caller_id()));
comment on policy update_own on public.planner_settings is 'People change their own settings.';
