-- Private: only the lti service uses it, through svc functions.

alter table private.lti_platforms enable row level security;

create policy nobody on private.lti_platforms to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.lti_platforms is 'Closed on purpose: only the service''s definer functions use it.';
