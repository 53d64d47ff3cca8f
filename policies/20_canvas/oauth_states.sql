-- Private: reached through the svc functions below only.

alter table private.oauth_states enable row level security;

create policy nobody on private.oauth_states to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.oauth_states is
    'Closed on purpose: only definer functions of the service come here.';

grant execute on function public.svc_create_oauth_state(text, uuid, uuid, text, text) to service_role;

grant execute on function public.svc_peek_oauth_state(text) to service_role;

grant execute on function public.svc_consume_oauth_state(text, uuid) to service_role;
