-- Own files only, not even for staff. The service stores them; the person may rename and delete.

alter table public.documents enable row level security;

grant select, delete, update on public.documents to authenticated;
grant all on public.documents to service_role;

create policy select_own on public.documents for select to authenticated
using (owner_id = (select private.caller_id()));
comment on policy select_own on public.documents is 'People see their own files.';

create policy update_own on public.documents for update to authenticated
using (owner_id = (select private.caller_id()))
with check (owner_id = (select private.caller_id()));
comment on policy update_own on public.documents is 'People rename their own files.';

create policy delete_own on public.documents for delete to authenticated
using (owner_id = (select private.caller_id()));
comment on policy delete_own on public.documents is
    'People delete their own files; a trigger puts the stored file into the outbox.';
