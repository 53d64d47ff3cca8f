-- People see their own connections; canvas-oauth and canvas-sync write them.

alter table public.integrations enable row level security;

grant select on public.integrations to authenticated;
grant all on public.integrations to service_role;

create policy select_own on public.integrations for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.integrations is 'People see their own connections.';
