-- Teachers add links and texts. Files and Canvas pages come through the service, which alone knows what it stored, as
-- do extracted text and state.

alter table public.content_sources enable row level security;

grant select on public.content_sources to authenticated;
grant insert (
    id, teacher_id, class_id, kind, title, source_url, text_content, metadata, status
) on public.content_sources to authenticated;
grant update on public.content_sources to authenticated;
grant delete on public.content_sources to authenticated;
grant all on public.content_sources to service_role;

create policy select_own on public.content_sources for select to authenticated
using (teacher_id = (select private.caller_id()));
comment on policy select_own on public.content_sources is 'Teachers see their own material.';

create policy insert_own on public.content_sources for insert to authenticated
with check (teacher_id = (select private.caller_id()) and kind in ('url', 'text') and status = 'pending');
comment on policy insert_own on public.content_sources is 'Teachers add links and texts, which wait for extraction.';

create policy update_own on public.content_sources for update to authenticated
using (teacher_id = (select private.caller_id()))
with check (teacher_id = (select private.caller_id()));
comment on policy update_own on public.content_sources is
    'Teachers rename material or move it to another of their classes.';

create policy delete_own on public.content_sources for delete to authenticated
using (teacher_id = (select private.caller_id()));
comment on policy delete_own on public.content_sources is
    'Teachers delete material; a trigger puts a stored file into the outbox.';
