-- Own rows only. Sync writes.

alter table public.course_sync_state enable row level security;

revoke all on public.course_sync_state from public, anon, authenticated, app_admin, service_role;
grant select on public.course_sync_state to authenticated;
grant all on public.course_sync_state to service_role;

create policy all_not_anonymous on public.course_sync_state as restrictive to authenticated
using ((select auth.jwt()) ->> 'is_anonymous' is distinct from 'true')
with check ((select auth.jwt()) ->> 'is_anonymous' is distinct from 'true');
comment on policy all_not_anonymous on public.course_sync_state is 'Anonymous sign-ins get nothing.';

create policy select_own on public.course_sync_state for select to authenticated
using (user_id = (select auth.uid()));
comment on policy select_own on public.course_sync_state is 'A person sees how far the sync of his courses is.';
