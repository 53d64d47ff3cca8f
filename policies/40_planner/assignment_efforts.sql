-- Own rows only, not even for staff. The composite foreign key admits only the person's own assignments.

alter table public.assignment_efforts enable row level security;

grant select, update, delete,
insert (assignment_id, user_id, effort_minutes, priority, is_excluded, is_hidden, done_at)
on public.assignment_efforts to authenticated;
grant all on public.assignment_efforts to service_role;

create policy select_own on public.assignment_efforts for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.assignment_efforts is 'People read what they said.';

create policy insert_own on public.assignment_efforts for insert to authenticated
with check (user_id = (select private.caller_id()));
comment on policy insert_own on public.assignment_efforts is
    'People say it about their own assignments; the foreign key admits no others.';

create policy update_own on public.assignment_efforts for update to authenticated
using (user_id = (select private.caller_id()))
with check (user_id = (select private.caller_id()));
comment on policy update_own on public.assignment_efforts is 'People change what they said.';

create policy delete_own on public.assignment_efforts for delete to authenticated
using (user_id = (select private.caller_id()));
comment on policy delete_own on public.assignment_efforts is 'People take back what they said.';

-- Read with the reader's own rights.

grant select on public.v_open_assignments to authenticated, service_role;
