-- Own inbox only. The services write; the person may only dismiss a line.

alter table public.notifications enable row level security;

grant select, update on public.notifications to authenticated;
grant all on public.notifications to service_role;

create policy select_own on public.notifications for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.notifications is 'People read their own inbox.';

create policy update_own on public.notifications for update to authenticated
using (user_id = (select private.caller_id()))
with check (user_id = (select private.caller_id()) and status = 'dismissed');
comment on policy update_own on public.notifications is 'People dismiss a line; they can set no other status.';
