-- Read by its teacher; filled by the service.

alter table public.courses_cache enable row level security;
revoke all on public.courses_cache from public, anon, authenticated, app_admin, service_role;

grant select on public.courses_cache to authenticated;
grant all on public.courses_cache to service_role;

create policy all_not_anonymous on public.courses_cache as restrictive for all to authenticated
    using (((select auth.jwt()) ->> 'is_anonymous') is distinct from 'true')
    with check (((select auth.jwt()) ->> 'is_anonymous') is distinct from 'true');
comment on policy all_not_anonymous on public.courses_cache is 'Anonymous sign-ins have no rights here.';

create policy select_own on public.courses_cache for select to authenticated
    using (teacher_id = (select auth.uid()));
comment on policy select_own on public.courses_cache is 'A teacher sees the Canvas courses fetched for him.';

revoke all on function private.refresh_cached_at() from public, anon, authenticated, app_admin, service_role;
