-- Private: only the two svc functions use it.

alter table private.external_identities enable row level security;

create policy nobody on private.external_identities to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.external_identities is
    'Closed on purpose: only the service''s definer functions use it.';

grant execute on function public.svc_link_external_identity(uuid, text, text, text) to service_role;

grant execute on function public.svc_find_external_identity(text, text, text) to service_role;
