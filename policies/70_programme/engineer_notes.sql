-- The owner of the week reads them; the service writes them.

alter table public.engineer_notes enable row level security;

grant select on public.engineer_notes to authenticated;
grant all on public.engineer_notes to service_role;

create policy select_own on public.engineer_notes for select to authenticated
using (week_id = any((select private.my_weeks())::uuid[]));
comment on policy select_own on public.engineer_notes is 'Learners see the code notes of their own weeks.';
