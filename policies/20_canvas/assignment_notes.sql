-- Private: sync writes them, and only the leak guard reads them.

alter table private.assignment_notes enable row level security;

create policy nobody on private.assignment_notes to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.assignment_notes is
    'Closed on purpose: only the service''s definer functions use it.';

grant execute on function public.svc_get_assignment_notes(uuid) to service_role;
