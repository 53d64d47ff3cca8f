-- Read by the owner of the week; written by the service.

alter table public.brand_packages enable row level security;
revoke all on public.brand_packages from public, anon, authenticated, app_admin, service_role;

grant select on public.brand_packages to authenticated;
grant all on public.brand_packages to service_role;

create policy all_not_anonymous on public.brand_packages as restrictive for all to authenticated
    using (((select auth.jwt()) ->> 'is_anonymous') is distinct from 'true')
    with check (((select auth.jwt()) ->> 'is_anonymous') is distinct from 'true');
comment on policy all_not_anonymous on public.brand_packages is 'Anonymous sign-ins have no rights here.';

create policy select_own on public.brand_packages for select to authenticated
    using (week_id = any ((select private.my_weeks())::uuid[]));
comment on policy select_own on public.brand_packages is 'A learner sees the brand packages of his own weeks.';
