-- Own rows only, not even for staff. The service writes; students may delete theirs.

alter table public.headstart_docs enable row level security;

grant select, delete on public.headstart_docs to authenticated;
grant all on public.headstart_docs to service_role;

create policy select_own on public.headstart_docs for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.headstart_docs is 'People read their own headstarts.';

create policy delete_own on public.headstart_docs for delete to authenticated
using (user_id = (select private.caller_id()));
comment on policy delete_own on public.headstart_docs is 'People delete their own headstarts.';
