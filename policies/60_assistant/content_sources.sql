-- A teacher adds links and texts himself. Files and Canvas pages enter through the service, which alone knows what it
-- stored; so do extracted text and state.

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
comment on policy select_own on public.content_sources is 'A teacher sees his own material.';

create policy insert_own on public.content_sources for insert to authenticated
with check (teacher_id = (select private.caller_id()) and kind in ('url', 'text') and status = 'pending');
comment on policy insert_own on public.content_sources is 'A teacher adds a link or a text; it waits for extraction.';

create policy update_own on public.content_sources for update to authenticated
using (teacher_id = (select private.caller_id()))
with check (teacher_id = (select private.caller_id()));
comment on policy update_own on public.content_sources is
    'A teacher renames material or moves it to another class of his.';

create policy delete_own on public.content_sources for delete to authenticated
using (teacher_id = (select private.caller_id()));
comment on policy delete_own on public.content_sources is
    'A teacher deletes material; a stored file follows through the outbox.';
