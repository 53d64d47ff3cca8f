-- Own rows only, not even for staff. The service writes; the student may throw one away.

alter table public.headstart_docs enable row level security;

revoke all on public.headstart_docs from public, anon, authenticated, app_admin, service_role;
grant select, delete on public.headstart_docs to authenticated;
grant all on public.headstart_docs to service_role;

create policy all_not_anonymous on public.headstart_docs as restrictive to authenticated
using ((select auth.jwt()) ->> 'is_anonymous' is distinct from 'true')
with check ((select auth.jwt()) ->> 'is_anonymous' is distinct from 'true');
comment on policy all_not_anonymous on public.headstart_docs is 'Anonymous sign-ins get nothing.';

create policy select_own on public.headstart_docs for select to authenticated
using (user_id = (select auth.uid()));
comment on policy select_own on public.headstart_docs is 'A person reads his own headstarts.';

create policy delete_own on public.headstart_docs for delete to authenticated
using (user_id = (select auth.uid()));
comment on policy delete_own on public.headstart_docs is 'A person throws his own headstart away.';
