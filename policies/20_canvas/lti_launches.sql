-- Private: only the lti service uses it, through svc functions.

alter table private.lti_launches enable row level security;

create policy nobody on private.lti_launches to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.lti_launches is 'Closed on purpose: only the service''s definer functions use it.';
