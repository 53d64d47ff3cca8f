-- The owner of the week reads them; the service writes them.

alter table public.clo_notes enable row level security;

grant select on public.clo_notes to authenticated;
grant all on public.clo_notes to service_role;

create policy select_own on public.clo_notes for select to authenticated
using (week_id = any((select private.my_weeks())::uuid[]));
comment on policy select_own on public.clo_notes is 'Learners see the learning objectives of their own weeks.';
