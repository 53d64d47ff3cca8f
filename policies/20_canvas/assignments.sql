-- Own rows only, not even for staff; teachers see no student's row. Sync writes.

alter table public.assignments enable row level security;

grant select on public.assignments to authenticated;
grant all on public.assignments to service_role;

create policy select_own on public.assignments for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.assignments is 'People see their own assignments.';
