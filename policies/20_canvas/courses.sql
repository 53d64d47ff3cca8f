-- Own rows only, not even for staff. Sync writes; the person may only hide a course.

alter table public.courses enable row level security;

grant select, update on public.courses to authenticated;
grant all on public.courses to service_role;

create policy select_own on public.courses for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.courses is 'People see their own courses.';

create policy update_own on public.courses for update to authenticated
using (user_id = (select private.caller_id()))
with check (user_id = (select private.caller_id()));
comment on policy update_own on public.courses is 'People hide their own courses and show them again.';
