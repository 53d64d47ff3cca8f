-- Private: only the svc functions below use it.

alter table private.oauth_states enable row level security;

create policy nobody on private.oauth_states to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.oauth_states is 'Closed on purpose: only the service''s definer functions use it.';

grant execute on function public.svc_create_oauth_state(text, uuid, uuid, text, text) to service_role;

grant execute on function public.svc_peek_oauth_state(text) to service_role;

grant execute on function public.svc_consume_oauth_state(text, uuid) to service_role;

grant execute on function public.svc_release_oauth_state(text, uuid) to service_role;
