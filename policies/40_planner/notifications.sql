-- Own inbox only. The services write; the person may only put a line away.

alter table public.notifications enable row level security;

revoke all on public.notifications from public, anon, authenticated, app_admin, service_role;
grant select, update (status) on public.notifications to authenticated;
grant all on public.notifications to service_role;

create policy all_not_anonymous on public.notifications as restrictive to authenticated
using ((select auth.jwt()) ->> 'is_anonymous' is distinct from 'true')
with check ((select auth.jwt()) ->> 'is_anonymous' is distinct from 'true');
comment on policy all_not_anonymous on public.notifications is 'Anonymous sign-ins get nothing.';

create policy select_own on public.notifications for select to authenticated
using (user_id = (select auth.uid()));
comment on policy select_own on public.notifications is 'A person reads his own inbox.';

create policy update_own on public.notifications for update to authenticated
using (user_id = (select auth.uid()))
with check (user_id = (select auth.uid()) and status = 'dismissed');
comment on policy update_own on public.notifications is 'A person puts a line away; no other status comes from him.';

revoke all on function private.stamp_notification() from public, anon, authenticated, app_admin, service_role;
