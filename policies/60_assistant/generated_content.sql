-- The service writes it; its teacher edits, approves, archives and deletes it.

alter table public.generated_content enable row level security;

grant select on public.generated_content to authenticated;
grant update on public.generated_content to authenticated;
grant delete on public.generated_content to authenticated;
grant all on public.generated_content to service_role;

create policy select_own on public.generated_content for select to authenticated
using (teacher_id = (select private.caller_id()));
comment on policy select_own on public.generated_content is 'Teachers see what was written for them.';

create policy update_own on public.generated_content for update to authenticated
using (teacher_id = (select private.caller_id()))
with check (teacher_id = (select private.caller_id()));
comment on policy update_own on public.generated_content is
    'Teachers edit and approve it, and move it to another class.';

create policy delete_own on public.generated_content for delete to authenticated
using (teacher_id = (select private.caller_id()));
comment on policy delete_own on public.generated_content is 'Teachers delete it.';
