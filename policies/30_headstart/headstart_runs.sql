-- Own rows only, not even for staff. The service writes.

alter table public.headstart_runs enable row level security;

grant select on public.headstart_runs to authenticated;
grant all on public.headstart_runs to service_role;

create policy select_own on public.headstart_runs for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.headstart_runs is 'People see their own runs.';
