-- Private: only the functions below use it.

alter table private.grant_revocations enable row level security;

create policy nobody on private.grant_revocations to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.grant_revocations is
    'Closed on purpose: only the service''s definer functions use it.';

grant execute on function public.svc_get_grant_revocation(uuid) to service_role;

grant execute on function public.svc_finish_grant_revocation(uuid) to service_role;
