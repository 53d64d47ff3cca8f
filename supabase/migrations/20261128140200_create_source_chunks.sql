-- Fragments of documents, lectures and teachers' material, and how far the text of each source is.
-- Touches: 50_lectures, 60_assistant. Undo: drop svc_replace_chunks, private.source_chunks, the new columns of documents and
-- lectures, and the type ingest_status.

set lock_timeout = '5s';

create type public.ingest_status as enum ('pending', 'ready', 'failed', 'none');
comment on type public.ingest_status is
    'How far the text of a document or lecture is: pending: it waits to be read. ready: it can be searched. failed: '
    'it could not be read. none: there is no text in it.';

alter table public.documents
add column language text,
add column text_chars int,
add column ingest_status public.ingest_status not null default 'pending',
add column ingest_error text,
add constraint documents_language_check check (language ~ '^[a-z]{2,3}$'),
add constraint documents_text_chars_check check (text_chars >= 0),
add constraint documents_ingest_error_check check (char_length(ingest_error) <= 500);
comment on column public.documents.language is 'Language of its text, as a code of two or three letters (en, de).';
comment on column public.documents.text_chars is 'Length of its text in characters.';
comment on column public.documents.ingest_status is 'How far its text is.';
comment on column public.documents.ingest_error is
    'Why its text could not be read: a code, a colon, and a sentence that the owner may read.';

alter table public.lectures
add column language text,
add column ingest_status public.ingest_status not null default 'pending',
add constraint lectures_language_check check (language ~ '^[a-z]{2,3}$');
comment on column public.lectures.language is 'Language spoken in it, as a code of two or three letters (en, de).';
comment on column public.lectures.ingest_status is 'How far its transcript is for the search.';

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
);

create index idx_source_chunks_document_id on private.source_chunks (document_id, ordinal)
where document_id is not null;
create index idx_source_chunks_lecture_id on private.source_chunks (lecture_id, ordinal)
where lecture_id is not null;
create index idx_source_chunks_content_source_id on private.source_chunks (content_source_id, ordinal)
where content_source_id is not null;

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

alter table private.source_chunks
add constraint source_chunks_content_source_id_fkey
    foreign key (content_source_id) references public.content_sources(id) on delete cascade;

alter table private.source_chunks enable row level security;

create policy nobody on private.source_chunks to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.source_chunks is 'Closed on purpose: only definer functions read and write it.';

create function public.svc_replace_chunks(p_kind text, p_source_id uuid, p_chunks jsonb)
returns table (kept int, inserted int, retired int)
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_document constant uuid := case p_kind when 'document' then p_source_id end;
    v_lecture constant uuid := case p_kind when 'lecture' then p_source_id end;
    v_content_source constant uuid := case p_kind when 'content_source' then p_source_id end;
begin
    if p_kind is null or p_source_id is null or p_chunks is null then
        raise exception 'p_kind, p_source_id and p_chunks must not be null' using errcode = '22004';
    end if;
    if p_kind not in ('document', 'lecture', 'content_source') then
        raise exception 'p_kind must be document, lecture or content_source' using errcode = '22023';
    end if;
    if jsonb_typeof(p_chunks) <> 'array' or exists (
        select from jsonb_array_elements(p_chunks) as c
        where jsonb_typeof(c) <> 'object' or coalesce(jsonb_typeof(c -> 'content'), '') <> 'string'
    ) then
        raise exception 'p_chunks must be a JSON array of objects with a text in content' using errcode = '22023';
    end if;
    -- the lock makes two replacements of one source follow each other
    if p_kind = 'document' then
        perform from public.documents where id = p_source_id for no key update;
    elsif p_kind = 'lecture' then
        perform from public.lectures where id = p_source_id for no key update;
    else
        perform from public.content_sources where id = p_source_id for no key update;
    end if;
    if not found then
        raise exception 'nothing of the kind in p_kind has the id in p_source_id' using errcode = 'PT404';
    end if;

    return query
    with given as (
        select
            c.content, h.content_hash, c.heading, coalesce(c.language, 'und') as language, c.page_start, c.page_end,
            c.start_second, c.end_second, c.ordinality::int - 1 as ordinal,
            -- equal fragments of one source are told apart by their order
            row_number() over (partition by h.content_hash order by c.ordinality) as copy
        from rows from (
            jsonb_to_recordset(p_chunks) as (
                content text, content_hash text, heading text, language text, page_start int, page_end int,
                start_second numeric, end_second numeric
            )
        ) with ordinality as c,
            lateral (
                select coalesce(
                    c.content_hash,
                    encode(sha256(convert_to(coalesce(c.heading, '') || e'\n' || c.content, 'UTF8')), 'hex')
                ) as content_hash
            ) as h
    ),
    present as (
        select
            s.id, s.content_hash, s.retired_at,
            row_number() over (
                partition by s.content_hash order by s.retired_at desc nulls first, s.ordinal, s.id
            ) as copy
        from private.source_chunks as s
        where s.document_id = v_document or s.lecture_id = v_lecture or s.content_source_id = v_content_source
    ),
    same as (
        select present.id, given.* from given join present using (content_hash, copy)
    ),
    updated as (
        update private.source_chunks as s
        set ordinal = g.ordinal, content = g.content, heading = g.heading, language = g.language,
            page_start = g.page_start, page_end = g.page_end, start_second = g.start_second,
            end_second = g.end_second, retired_at = null
        from same as g
        where s.id = g.id and (
            s.ordinal, s.content, s.heading, s.language, s.page_start, s.page_end, s.start_second, s.end_second,
            s.retired_at
        ) is distinct from (
            g.ordinal, g.content, g.heading, g.language, g.page_start, g.page_end, g.start_second::numeric(10, 3),
            g.end_second::numeric(10, 3), null
        )
    ),
    added as (
        insert into private.source_chunks (
            document_id, lecture_id, content_source_id, ordinal, content, content_hash, heading, language,
            page_start, page_end, start_second, end_second
        )
        select
            v_document, v_lecture, v_content_source, g.ordinal, g.content, g.content_hash, g.heading, g.language,
            g.page_start, g.page_end, g.start_second, g.end_second
        from given as g
        where not exists (
            select from present as p where (p.content_hash, p.copy) = (g.content_hash, g.copy)
        )
        returning 1
    ),
    gone as (
        update private.source_chunks as s set retired_at = now()
        from present as p
        where s.id = p.id and p.retired_at is null and not exists (
            select from given as g where (g.content_hash, g.copy) = (p.content_hash, p.copy)
        )
        returning 1
    )
    select
        (select count(*)::int from same), (select count(*)::int from added), (select count(*)::int from gone);
end
$$;

comment on function public.svc_replace_chunks(text, uuid, jsonb) is
    'Makes p_chunks, in their order, the fragments of a document, lecture or content source (p_kind). Each is an '
    'object with content and, where known, content_hash, heading, language, page_start, page_end, start_second and '
    'end_second. A fragment with the same hash keeps its id; one that is no longer given is retired and comes back '
    'when it is given again. Returns how many were kept, inserted and retired. PT404 when there is no such source.';

grant execute on function public.svc_replace_chunks(text, uuid, jsonb) to service_role;
