-- Private: only the lti service uses it, through svc functions.

alter table private.lti_signing_keys enable row level security;

create policy nobody on private.lti_signing_keys to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.lti_signing_keys is
    'Closed on purpose: only the service''s definer functions use it.';

grant execute on function public.svc_list_lti_signing_keys() to service_role;

grant execute on function public.svc_add_lti_signing_key(text, text, jsonb, boolean) to service_role;
