-- Private: only the functions of schedules use it.

alter table private.integration_schedules enable row level security;

create policy nobody on private.integration_schedules to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.integration_schedules is
    'Closed on purpose: only the service''s definer functions use it.';
