-- Read by the owner of the week; written by the service.

alter table public.engineer_notes enable row level security;

grant select on public.engineer_notes to authenticated;
grant all on public.engineer_notes to service_role;

create policy select_own on public.engineer_notes for select to authenticated
using (week_id = any((select private.my_weeks())::uuid[]));
comment on policy select_own on public.engineer_notes is 'A learner sees the code notes of his own weeks.';
