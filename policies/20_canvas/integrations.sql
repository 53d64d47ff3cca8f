-- The person sees his own connections; canvas-oauth and canvas-sync write them.

alter table public.integrations enable row level security;

revoke all on public.integrations from public, anon, authenticated, app_admin, service_role;
grant select on public.integrations to authenticated;
grant all on public.integrations to service_role;

create policy all_not_anonymous on public.integrations as restrictive to authenticated
using ((select auth.jwt()) ->> 'is_anonymous' is distinct from 'true')
with check ((select auth.jwt()) ->> 'is_anonymous' is distinct from 'true');
comment on policy all_not_anonymous on public.integrations is 'Anonymous sign-ins get nothing.';

create policy select_own on public.integrations for select to authenticated
using (user_id = (select auth.uid()));
comment on policy select_own on public.integrations is 'A person sees his own connections.';
