-- Fragments of documents, transcripts and teachers' material: what the search finds and what answers cite.
-- svc_replace_chunks writes them. A fragment that left its source is retired and kept, because a citation may point at
-- it; it goes with its source. Clients never read the table: the search functions decide who sees what.

create table private.source_chunks (
    id uuid primary key default gen_random_uuid(),
    document_id uuid,
    lecture_id uuid,
    content_source_id uuid,
    ordinal int not null,
    content text not null,
    content_hash text not null,
    heading text,
    language text not null default 'und',
    page_start int,
    page_end int,
    start_second numeric(10, 3),
    end_second numeric(10, 3),
    retired_at timestamptz,
    created_at timestamptz not null default now(),
    search tsvector not null,
    term_count int not null,
    constraint source_chunks_document_id_fkey
        foreign key (document_id)
        references public.documents(id) on delete cascade,
    constraint source_chunks_lecture_id_fkey
        foreign key (lecture_id)
        references public.lectures(id) on delete cascade,
    constraint source_chunks_source_check check (num_nonnulls(document_id, lecture_id, content_source_id) = 1),
    constraint source_chunks_ordinal_check check (ordinal >= 0),
    constraint source_chunks_content_check check (char_length(content) between 1 and 20000),
    constraint source_chunks_content_hash_check check (char_length(content_hash) between 1 and 128),
    constraint source_chunks_heading_check check (char_length(heading) <= 500),
    constraint source_chunks_language_check check (language ~ '^[a-z]{2,3}$'),
    constraint source_chunks_pages_check check (page_start >= 1 and page_end >= page_start),
    constraint source_chunks_seconds_check check (start_second >= 0 and end_second >= start_second)
)
-- a fragment stays in its row, uncompressed: a search takes every visible one's vector, and unpacking doubles its time
with (toast_tuple_target = 8160);

create index idx_source_chunks_document_id on private.source_chunks (document_id, ordinal)
where document_id is not null;
create index idx_source_chunks_lecture_id on private.source_chunks (lecture_id, ordinal)
where lecture_id is not null;
create index idx_source_chunks_content_source_id on private.source_chunks (content_source_id, ordinal)
where content_source_id is not null;
-- which ones have no vector yet
create index idx_source_chunks_current on private.source_chunks (id) where retired_at is null;

comment on table private.source_chunks is
    'Fragments of documents, lectures and content sources, for search and citations.';
comment on column private.source_chunks.id is 'Key; citations name it.';
comment on column private.source_chunks.document_id is 'The document it comes from, if from one.';
comment on column private.source_chunks.lecture_id is 'The lecture it comes from, if from one.';
comment on column private.source_chunks.content_source_id is 'The teacher''s material it comes from, if from some.';
comment on column private.source_chunks.ordinal is
    'Its position in the source, from 0; neighbours have the next numbers.';
comment on column private.source_chunks.content is 'Its text. Untrusted: a model must never take it as instructions.';
comment on column private.source_chunks.content_hash is
    'SHA-256 of heading and text, hex. A fragment with the same hash keeps its id when the source is read again.';
comment on column private.source_chunks.heading is 'The heading it stands under.';
comment on column private.source_chunks.language is
    'Language of its text, as a code of two or three letters (en, de); und where it is not known.';
comment on column private.source_chunks.page_start is 'The page on which it begins, from 1.';
comment on column private.source_chunks.page_end is 'The page on which it ends.';
comment on column private.source_chunks.start_second is 'The second of the recording at which it begins.';
comment on column private.source_chunks.end_second is 'The second of the recording at which it ends.';
comment on column private.source_chunks.retired_at is 'Since when its source no longer contains it.';
comment on column private.source_chunks.created_at is 'When it was first read.';
comment on column private.source_chunks.search is 'What it is found by.';
comment on column private.source_chunks.term_count is 'The length of its text in terms, for BM25.';

create trigger trg_source_chunks_index before insert or update of language, heading, content on private.source_chunks
for each row execute function private.index_chunk();
