-- Private: reached through the svc functions below only.

alter table private.integration_tokens enable row level security;

create policy nobody on private.integration_tokens to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.integration_tokens is
    'Closed on purpose: only definer functions of the service come here.';

grant execute on function public.svc_put_integration_token(uuid, text, text, timestamptz, int) to service_role;

grant execute on function public.svc_get_integration_token(uuid, boolean) to service_role;

grant execute on function public.svc_delete_integration_token(uuid) to service_role;

grant execute on function public.svc_begin_token_refresh(uuid, text, int) to service_role;

grant execute on function public.svc_end_token_refresh(uuid, text) to service_role;
