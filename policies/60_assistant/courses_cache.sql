-- Its teacher reads it; the service writes it.

alter table public.courses_cache enable row level security;

grant select on public.courses_cache to authenticated;
grant all on public.courses_cache to service_role;

create policy select_own on public.courses_cache for select to authenticated
using (teacher_id = (select private.caller_id()));
comment on policy select_own on public.courses_cache is 'Teachers see the Canvas courses fetched for them.';
