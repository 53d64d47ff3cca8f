-- A file that a person uploaded for a course. The documents service writes it, and counts and hashes the bytes itself;
-- the person may rename or delete it. Deleting a row puts the file into private.storage_deletions.

create table public.documents (
    id uuid primary key default gen_random_uuid(),
    owner_id uuid not null,
    catalog_course_id uuid not null,
    filename text not null,
    storage_key text not null,
    checksum text not null,
    mime_type text not null,
    size_bytes bigint not null,
    page_count int,
    description text,
    language text,
    text_chars int,
    status public.document_status not null default 'uploaded',
    ingest_status public.ingest_status not null default 'pending',
    ingest_error text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint documents_owner_id_catalog_course_id_checksum_key unique (owner_id, catalog_course_id, checksum),
    constraint documents_storage_key_key unique (storage_key),
    constraint documents_owner_id_fkey
        foreign key (owner_id)
        references public.profiles(user_id) on delete cascade,
    constraint documents_catalog_course_id_fkey
        foreign key (catalog_course_id)
        references public.catalog_courses(id) on delete restrict,
    constraint documents_filename_check check (char_length(filename) between 1 and 255),
    constraint documents_storage_key_check check (char_length(storage_key) between 1 and 500),
    constraint documents_checksum_check check (checksum ~ '^[0-9a-f]{64}$'),
    constraint documents_mime_type_check check (char_length(mime_type) between 1 and 255),
    constraint documents_size_bytes_check check (size_bytes >= 0),
    constraint documents_page_count_check check (page_count >= 0),
    constraint documents_description_check check (char_length(description) <= 5000),
    constraint documents_language_check check (language ~ '^[a-z]{2,3}$'),
    constraint documents_text_chars_check check (text_chars >= 0),
    constraint documents_ingest_error_check check (char_length(ingest_error) <= 500)
);

create index idx_documents_catalog_course_id on public.documents (catalog_course_id);
create index idx_documents_checksum on public.documents (checksum);
-- for the sweep of documents whose job is gone
create index idx_documents_updated_at on public.documents (updated_at) where ingest_status = 'pending';

comment on table public.documents is 'A person''s file for a course.';
comment on column public.documents.id is 'Key; also the name of the file.';
comment on column public.documents.owner_id is 'Whose file.';
comment on column public.documents.catalog_course_id is 'The course of the school it is for.';
comment on column public.documents.filename is 'The name that the person gave it.';
comment on column public.documents.storage_key is 'documents/{id}.pdf.';
comment on column public.documents.checksum is
    'SHA-256 of the bytes, 64 hex digits; the same file is stored once per person and course.';
comment on column public.documents.mime_type is 'Its type, which the server determines.';
comment on column public.documents.size_bytes is 'Its size in bytes.';
comment on column public.documents.page_count is 'The number of its pages, if it has pages.';
comment on column public.documents.description is 'What it is about.';
comment on column public.documents.language is 'Language of its text, as a code of two or three letters (en, de).';
comment on column public.documents.text_chars is 'Length of its text in characters.';
comment on column public.documents.status is 'Whether the file is stored.';
comment on column public.documents.ingest_status is 'How far its text is.';
comment on column public.documents.ingest_error is
    'Why its text could not be read: document_encrypted, document_unreadable, document_too_long or ingest_interrupted.';
comment on column public.documents.created_at is 'When it was uploaded.';
comment on column public.documents.updated_at is 'When the row last changed.';

create trigger trg_documents_columns before update on public.documents
for each row execute function private.keep_columns('filename');
create trigger trg_documents_status before insert or update of status on public.documents
for each row execute function private.enforce_transition(
    'status', '>uploaded', '>failed', 'uploaded>failed', 'failed>uploaded'
);

create trigger trg_documents_updated_at before update on public.documents
for each row execute function public.set_updated_at();

create trigger trg_documents_storage after delete on public.documents
for each row execute function private.enqueue_storage_deletion('storage_key');
