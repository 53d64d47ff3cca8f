-- Own links only. Only the service makes one, because a link is the right to see the lecture.

alter table public.user_lectures enable row level security;

revoke all on public.user_lectures from public, anon, authenticated, app_admin, service_role;
grant select, delete on public.user_lectures to authenticated;
grant all on public.user_lectures to service_role;

create policy all_not_anonymous on public.user_lectures as restrictive to authenticated
using ((select auth.jwt()) ->> 'is_anonymous' is distinct from 'true')
with check ((select auth.jwt()) ->> 'is_anonymous' is distinct from 'true');
comment on policy all_not_anonymous on public.user_lectures is 'Anonymous sign-ins get nothing.';

create policy select_own on public.user_lectures for select to authenticated
using (user_id = (select auth.uid()));
comment on policy select_own on public.user_lectures is 'A person sees his own links.';

create policy delete_own on public.user_lectures for delete to authenticated
using (user_id = (select auth.uid()));
comment on policy delete_own on public.user_lectures is 'A person stops following; the last link takes the lecture along.';

revoke all on function private.my_lectures() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.my_lectures() to authenticated;

revoke all on function private.delete_orphan_lecture() from public, anon, authenticated, app_admin, service_role;
