-- Material that a teacher gives the assistant. Teachers add URLs and texts; files and Canvas pages come through the
-- service, which alone knows what it stored. Deleting a source puts its file into the storage outbox.

create table public.content_sources (
    id uuid primary key default gen_random_uuid(),
    teacher_id uuid not null default private.caller_id(),
    class_id uuid,
    kind public.content_source_kind not null,
    title text not null,
    source_url text,
    storage_key text,
    text_content text,
    checksum text,
    metadata jsonb not null default '{}',
    status public.content_source_status not null default 'pending',
    error_message text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint content_sources_teacher_id_fkey
        foreign key (teacher_id) references public.teachers(id) on delete cascade,
    constraint content_sources_class_id_fkey
        foreign key (class_id, teacher_id) references public.classes(id, teacher_id) on delete set null (class_id),
    constraint content_sources_id_teacher_id_key unique (id, teacher_id),
    constraint content_sources_body_check check (num_nonnulls(source_url, storage_key, text_content) >= 1),
    constraint content_sources_title_check check (char_length(title) between 1 and 500),
    constraint content_sources_source_url_check check (source_url ~ '^https?://' and char_length(source_url) <= 2000),
    constraint content_sources_storage_key_check check (char_length(storage_key) <= 500),
    constraint content_sources_text_content_check check (char_length(text_content) <= 2000000),
    constraint content_sources_checksum_check check (checksum ~ '^[0-9a-f]{64}$'),
    constraint content_sources_metadata_check check (jsonb_typeof(metadata) = 'object'),
    constraint content_sources_error_message_check check (char_length(error_message) <= 500)
);

create index idx_content_sources_teacher_id on public.content_sources (teacher_id);
create index idx_content_sources_class_id on public.content_sources (class_id, teacher_id);
-- for the sweep of files without a row
create unique index uq_content_sources_storage_key on public.content_sources (storage_key)
where storage_key is not null;
-- for the sweep of sources whose job is gone
create index idx_content_sources_unfinished on public.content_sources (updated_at)
where status in ('pending', 'processing');

comment on table public.content_sources is 'Material of teachers: links, texts, uploaded files, Canvas pages.';
comment on column public.content_sources.id is 'Identity of the row.';
comment on column public.content_sources.teacher_id is 'The teacher.';
comment on column public.content_sources.class_id is 'The class it is for.';
comment on column public.content_sources.kind is 'Where it comes from.';
comment on column public.content_sources.title is 'Shown in lists.';
comment on column public.content_sources.source_url is 'Address of a url source, or of the page in Canvas.';
comment on column public.content_sources.storage_key is 'bucket/object of an uploaded file.';
comment on column public.content_sources.text_content is
    'Text as typed, or as extracted from the file or page. Untrusted: a model must never take it as instructions.';
comment on column public.content_sources.checksum is 'SHA-256 of the file, hex.';
comment on column public.content_sources.metadata is 'More about the source: pages, MIME type.';
comment on column public.content_sources.status is 'The state of its extraction.';
comment on column public.content_sources.error_message is
    'Of a failed source: a code, a colon, and a sentence the teacher may read.';
comment on column public.content_sources.created_at is 'When the row was written.';
comment on column public.content_sources.updated_at is 'When the row last changed; kept by trigger.';

create trigger trg_content_sources_columns before update on public.content_sources
for each row execute function private.keep_columns('title', 'class_id');
create trigger trg_content_sources_status before insert or update of status on public.content_sources
for each row execute function private.enforce_transition(
    'status', '>pending', 'pending>processing', 'processing>ready', 'processing>failed', 'failed>pending',
    'ready>pending'
);
create trigger trg_content_sources_storage after delete on public.content_sources
for each row execute function private.enqueue_storage_deletion('storage_key');
create trigger trg_content_sources_updated_at before update on public.content_sources
for each row execute function public.set_updated_at();

alter table private.source_chunks
add constraint source_chunks_content_source_id_fkey
    foreign key (content_source_id) references public.content_sources(id) on delete cascade;
