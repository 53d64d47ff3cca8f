-- Private: only the svc functions below use it.

alter table private.integration_tokens enable row level security;

create policy nobody on private.integration_tokens to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.integration_tokens is
    'Closed on purpose: only the service''s definer functions use it.';

grant execute on function public.svc_put_integration_token(uuid, text, text, timestamptz, int) to service_role;

grant execute on function public.svc_get_integration_token(uuid, boolean) to service_role;

grant execute on function public.svc_delete_integration_token(uuid) to service_role;

grant execute on function public.svc_begin_token_refresh(uuid, text, int) to service_role;

grant execute on function public.svc_end_token_refresh(uuid, text) to service_role;
