-- Private: only the lti service comes here, through svc functions.

alter table private.lti_platforms enable row level security;

create policy nobody on private.lti_platforms to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.lti_platforms is
    'Closed on purpose: only definer functions of the service come here.';
