-- Private: reached through the svc functions below only.

alter table private.oauth_states enable row level security;

revoke all on private.oauth_states from public, anon, authenticated, app_admin, service_role;

create policy nobody on private.oauth_states to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.oauth_states is 'Closed on purpose: only definer functions of the service come here.';

revoke all on function public.svc_create_oauth_state(text, uuid, uuid, text, text) from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_create_oauth_state(text, uuid, uuid, text, text) to service_role;

revoke all on function public.svc_peek_oauth_state(text) from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_peek_oauth_state(text) to service_role;

revoke all on function public.svc_consume_oauth_state(text, uuid) from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_consume_oauth_state(text, uuid) to service_role;
