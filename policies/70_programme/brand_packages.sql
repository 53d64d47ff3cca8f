-- The owner of the week reads them; the service writes them.

alter table public.brand_packages enable row level security;

grant select on public.brand_packages to authenticated;
grant all on public.brand_packages to service_role;

create policy select_own on public.brand_packages for select to authenticated
using (week_id = any((select private.my_weeks())::uuid[]));
comment on policy select_own on public.brand_packages is 'Learners see the brand packages of their own weeks.';
