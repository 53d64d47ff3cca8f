-- Own rows only. Sync writes.

alter table public.course_sync_state enable row level security;

grant select on public.course_sync_state to authenticated;
grant all on public.course_sync_state to service_role;

create policy select_own on public.course_sync_state for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.course_sync_state is 'People see how far the sync of their courses has come.';
