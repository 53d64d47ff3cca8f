-- Seen by people with a link. The service writes.

alter table public.lectures enable row level security;

revoke all on public.lectures from public, anon, authenticated, app_admin, service_role;
grant select on public.lectures to authenticated;
grant all on public.lectures to service_role;

create policy all_not_anonymous on public.lectures as restrictive to authenticated
using ((select auth.jwt()) ->> 'is_anonymous' is distinct from 'true')
with check ((select auth.jwt()) ->> 'is_anonymous' is distinct from 'true');
comment on policy all_not_anonymous on public.lectures is 'Anonymous sign-ins get nothing.';

create policy select_linked on public.lectures for select to authenticated
using (id = any ((select private.my_lectures())::uuid[]));
comment on policy select_linked on public.lectures is 'A person sees the lectures he follows.';

revoke all on function private.clear_lecture() from public, anon, authenticated, app_admin, service_role;
