-- Private: only the lti service comes here, through svc functions.

alter table private.lti_registrations enable row level security;

create policy nobody on private.lti_registrations to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.lti_registrations is
    'Closed on purpose: only definer functions of the service come here.';
