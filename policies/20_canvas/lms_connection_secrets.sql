-- Private: only svc_put_lms_secret and svc_get_lms_secret use it.

alter table private.lms_connection_secrets enable row level security;

create policy nobody on private.lms_connection_secrets to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.lms_connection_secrets is
    'Closed on purpose: only the service''s definer functions use it.';

grant execute on function public.svc_put_lms_secret(uuid, text) to service_role;

grant execute on function public.svc_get_lms_secret(uuid) to service_role;
