-- Vectors: fragments are also found by meaning where the extension vector and an embedding model are there; and the search
-- by words takes half the time, because it reads a source's fragments together.
-- Touches: 50_lectures, 90_platform. Undo: delete the schedule chunk_embedding, drop what it creates, newest first, and
-- restore the search functions of 20261128190300_create_search.sql. Vectors are lost; they can be computed again.

set lock_timeout = '5s';

create index idx_source_chunks_current on private.source_chunks (id) where retired_at is null;

-- Vectors of fragments: what the search compares by meaning. svc_store_embeddings writes them, for a job that embeds
-- what has none yet. A PostgreSQL without pgvector (0.7 or newer) has no such table, and its search is lexical; once
-- the extension can be had, run this file and its policies again.

do $$
begin
    if not exists (select from pg_available_extensions where name = 'vector') then
        raise notice 'the extension vector cannot be had, so the search stays lexical';
        return;
    end if;
    create extension if not exists vector with schema extensions;
    if to_regtype('extensions.halfvec') is null then
        raise notice 'the extension vector is too old, or not in the schema extensions: the search stays lexical';
        return;
    end if;
    create table if not exists private.chunk_embeddings (
        chunk_id uuid primary key,
        model text not null,
        embedding extensions.halfvec,
        dims int generated always as (extensions.vector_dims(embedding)) stored,
        created_at timestamptz not null default now(),
        constraint chunk_embeddings_chunk_id_fkey
            foreign key (chunk_id)
            references private.source_chunks(id) on delete cascade,
        constraint chunk_embeddings_model_check check (char_length(model) between 1 and 200)
    )
    -- a vector stays in its row, because a search within a person's fragments reads them all
    with (toast_tuple_target = 8160);

    comment on table private.chunk_embeddings is
        'Vectors of fragments, one each. There is no index on them: a search compares those of the person''s own '
        'fragments.';
    comment on column private.chunk_embeddings.chunk_id is 'The fragment.';
    comment on column private.chunk_embeddings.model is
        'The model and, where they were asked for, its dimensions (name@512). Vectors of two models are not '
        'comparable, so a search sees those of its own model alone.';
    comment on column private.chunk_embeddings.embedding is
        'The vector of heading and text, of length 1. Null: the model refused the text.';
    comment on column private.chunk_embeddings.dims is 'How many numbers the vector has.';
    comment on column private.chunk_embeddings.created_at is 'When the fragment first had a vector.';
end
$$;

-- How fragments get their vectors: the job asks which have none of its model, and stores them.

create function public.svc_chunks_to_embed(p_model text, p_limit int)
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    if p_model is null or p_limit is null then
        raise exception 'p_model and p_limit must not be null' using errcode = '22004';
    end if;
    if p_limit not between 1 and 1000 then
        raise exception 'p_limit must be between 1 and 1000' using errcode = '22023';
    end if;
    if to_regclass('private.chunk_embeddings') is null then
        return null;
    end if;
    return coalesce(
        (
            select
                jsonb_agg(jsonb_build_object(
                    'chunk_id', c.id, 'content_hash', c.content_hash, 'heading', c.heading, 'content', c.content
                ))
            from (
                select id from private.source_chunks as s
                where s.retired_at is null and not exists (
                    select from private.chunk_embeddings as e where e.chunk_id = s.id and e.model = p_model
                )
                limit p_limit
            ) as missing
            join private.source_chunks as c on c.id = missing.id
        ),
        '[]'
    );
end
$$;

comment on function public.svc_chunks_to_embed(text, int) is
    'Up to p_limit fragments without a vector of this model, as objects with chunk_id, content_hash, heading and '
    'content. Null where the database has no vectors.';

create function public.svc_store_embeddings(p_model text, p_embeddings jsonb)
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_count int;
begin
    if p_model is null or p_embeddings is null then
        raise exception 'p_model and p_embeddings must not be null' using errcode = '22004';
    end if;
    if jsonb_typeof(p_embeddings) <> 'array' then
        raise exception 'p_embeddings must be a JSON array' using errcode = '22023';
    end if;
    if to_regclass('private.chunk_embeddings') is null then
        return 0;
    end if;
    with present as (
        -- a fragment that goes meanwhile takes its vector along
        select c.id, g.embedding
        from jsonb_to_recordset(p_embeddings) as g (chunk_id uuid, content_hash text, embedding text)
        join private.source_chunks as c on c.id = g.chunk_id and c.content_hash = g.content_hash
        order by c.id
        for key share of c
    )
    insert into private.chunk_embeddings (chunk_id, model, embedding)
    select id, p_model, embedding::extensions.halfvec from present
    on conflict (chunk_id) do update set model = excluded.model, embedding = excluded.embedding;
    get diagnostics v_count = row_count;
    return v_count;
end
$$;

comment on function public.svc_store_embeddings(text, jsonb) is
    'Stores vectors of this model: objects with chunk_id, content_hash and embedding ("[0.6,0.8]", or null for a text '
    'that the model refused). They replace those of another model. A fragment that is gone, or has another hash, is '
    'left out. Returns how many were stored; repeatable.';

-- The second leg of the search: fragments whose vectors lie close to that of the query. It compares all vectors of the
-- scope, and no others. An index over everybody's vectors would mix people: its answers are filtered afterwards, so a
-- small scope would lose results, and times would depend on what others store.

create function private.nearest_chunks(
    p_documents uuid[],
    p_lectures uuid[],
    p_content_sources uuid[],
    p_embedding text,
    p_model text,
    p_words text,
    p_phrases text[],
    p_without text[],
    p_limit int
)
returns setof uuid
language plpgsql
stable
set search_path = ''
as $$
declare
    v_scope uuid[];
begin
    -- the table and its type exist only where the extension vector does
    if p_embedding is null or to_regclass('private.chunk_embeddings') is null then
        return;
    end if;
    v_scope := array(
        with fragments as not materialized (
            select id, language, search from private.source_chunks
            where document_id = any (p_documents) and retired_at is null
            union all
            select id, language, search from private.source_chunks
            where lecture_id = any (p_lectures) and retired_at is null
            union all
            select id, language, search from private.source_chunks
            where content_source_id = any (p_content_sources) and retired_at is null
        ),
        filters as materialized (
            select l.language, private.query_filter(p_phrases, p_without, private.search_config(l.language)) as filter
            from (select distinct f.language from fragments as f) as l
            -- stop words alone find nothing
            where exists (select from private.query_terms(p_words, private.search_config(l.language)))
        )
        select f.id from fragments as f join filters as l on l.language = f.language
        where l.filter is null or f.search @@ l.filter
    );
    return query
    with query as materialized (
        select q.embedding, extensions.vector_dims(q.embedding) as dims
        from (select p_embedding::extensions.halfvec as embedding) as q
    )
    select e.chunk_id
    from private.chunk_embeddings as e join query as q on q.dims = e.dims
    where e.chunk_id = any (v_scope) and e.model = p_model
    -- of length 1, so the negative inner product orders as the angle does
    order by e.embedding operator(extensions.<#>) q.embedding, e.chunk_id
    limit p_limit;
end
$$;

comment on function private.nearest_chunks(uuid[], uuid[], uuid[], text, text, text, text[], text[], int) is
    'The fragments of these sources whose vectors of this model are nearest to p_embedding, a vector of length 1 '
    '("[0.6,0.8]"), nearest first. Phrases and words to leave out count as in the search by words. Nothing where the '
    'database has no vectors.';

drop function public.svc_search_material(uuid, text, uuid[], text[], int);
drop function private.find_chunks(uuid, text, uuid[], text[], int);
drop function private.lexical_matches(uuid[], text, text[], text[]);
drop function private.visible_chunks(uuid, uuid[], text[]);

create function private.visible_sources(
    p_person uuid, p_catalog_course_ids uuid[], p_kinds text[],
    out documents uuid[], out lectures uuid[], out content_sources uuid[]
)
language plpgsql
stable
set search_path = ''
as $$
begin
    documents := array(
        select d.id from public.documents as d
        where d.owner_id = p_person
            and (p_kinds is null or 'document' = any (p_kinds))
            and (p_catalog_course_ids is null or d.catalog_course_id = any (p_catalog_course_ids))
    );
    lectures := array(
        select l.id from public.user_lectures as u join public.lectures as l on l.id = u.lecture_id
        where u.user_id = p_person
            and (p_kinds is null or 'lecture' = any (p_kinds))
            and (p_catalog_course_ids is null or l.catalog_course_id = any (p_catalog_course_ids))
    );
    content_sources := array(
        select s.id from public.content_sources as s left join public.classes as c on c.id = s.class_id
        where s.teacher_id = p_person
            and (p_kinds is null or 'content_source' = any (p_kinds))
            and (p_catalog_course_ids is null or c.catalog_course_id = any (p_catalog_course_ids))
            -- who is no longer a teacher keeps the rows, but not the use of them
            and exists (select from public.profiles where user_id = p_person and role = 'teacher')
    );
end
$$;

comment on function private.visible_sources(uuid, uuid[], text[]) is
    'What a person may search: their own documents, lectures they follow, and their own material as a teacher; of '
    'these courses and kinds (document, lecture, content_source), where given. Its fragments that are not retired are '
    'the scope of a search.';

create function private.lexical_matches(
    p_documents uuid[],
    p_lectures uuid[],
    p_content_sources uuid[],
    p_words text,
    p_phrases text[],
    p_without text[],
    p_limit int
)
returns table (chunk_id uuid, score double precision, lexemes text[])
-- plpgsql keeps the plan between calls; the plan takes longer to make than to run
language plpgsql
stable
set search_path = ''
as $$
begin
    return query
    -- Fragments are found by lists of sources: a join may be planned as a scan of everybody's. One source's fragments
    -- lie together, so that lists of their ids would take longer; and with OR, an empty list may scan a whole index.
    with fragments as not materialized (
        select id, language, term_count, search from private.source_chunks
        where document_id = any (p_documents) and retired_at is null
        union all
        select id, language, term_count, search from private.source_chunks
        where lecture_id = any (p_lectures) and retired_at is null
        union all
        select id, language, term_count, search from private.source_chunks
        where content_source_id = any (p_content_sources) and retired_at is null
    ),
    scope as materialized (
        select f.language, count(*) as chunks, sum(f.term_count) as terms from fragments as f group by f.language
    ),
    total as materialized (
        select sum(s.chunks)::double precision as chunks, (sum(s.terms) / sum(s.chunks))::double precision as mean_terms
        from scope as s
    ),
    terms as materialized (
        select s.language, t.term, t.lexeme
        from scope as s, lateral private.query_terms(p_words, private.search_config(s.language)) as t
    ),
    queries as materialized (
        select
            t.language, array_agg(distinct t.lexeme) as wanted,
            private.query_filter(p_phrases, p_without, private.search_config(t.language)) as filter
        from terms as t group by t.language
    ),
    hits as materialized (
        -- the vector is cut down to the terms of the query before it is taken apart; that happens in the list of
        -- columns, because each call in a join would fill a table of its own
        select h.id, h.term_count, h.language, (h.hit).lexeme, cardinality((h.hit).positions) as occurrences
        from (
            select
                f.id, f.term_count, f.language, unnest(ts_filter(setweight(f.search, 'A', q.wanted), '{a}')) as hit
            from fragments as f join queries as q on q.language = f.language
            where q.filter is null or f.search @@ q.filter
        ) as h
    ),
    weights as materialized (
        select t.term, ln(1 + (min(a.chunks) - count(*) + 0.5) / (count(*) + 0.5)) as weight
        from hits as h join terms as t on t.language = h.language and t.lexeme = h.lexeme, total as a
        group by t.term
    ),
    best as (
        select
            h.id,
            -- rounded, because the last digit of a sum depends on the order in which rows come
            round(
                sum(
                    w.weight * h.occurrences * 2.2
                    / (h.occurrences + 1.2 * (0.25 + 0.75 * h.term_count / a.mean_terms))
                )::numeric, 9
            )::double precision as score
        from hits as h join terms as t on t.language = h.language and t.lexeme = h.lexeme
        join weights as w on w.term = t.term, total as a
        group by h.id
        order by score desc, h.id
        limit p_limit
    )
    select b.id, b.score, array(select h.lexeme from hits as h where h.id = b.id)
    from best as b
    order by b.score desc, b.id;
end
$$;

comment on function private.lexical_matches(uuid[], uuid[], uuid[], text, text[], text[], int) is
    'The best fragments of these sources for the words of a query, of which any one is enough, by BM25. Frequencies '
    'and mean length are those of these fragments alone. lexemes are the terms that the fragment has.';

create or replace function private.highlighted(p_text text, p_language text, p_lexemes text[])
returns text
language plpgsql
stable
set search_path = ''
as $$
declare
    -- two characters of private use mark the words until the text is escaped; they are taken out of the text itself
    v_open constant text := u&'\E000';
    v_close constant text := u&'\E001';
    v_text constant text := translate(p_text, v_open || v_close, '');
    v_config constant regconfig := private.search_config(p_language);
    v_beginnings constant text[] := array(select left(ltrim(lexeme, '='), 2) from unnest(p_lexemes) as lexeme);
    v_has_names constant boolean := exists (select from unnest(p_lexemes) as lexeme where lexeme like '=%');
    v_pattern text;
    v_first int;
    v_start int;
    v_part text;
begin
    -- which words of the text are terms, and the terms that are written with signs
    select string_agg(pattern, '|' order by char_length(pattern) desc, pattern) into v_pattern
    from (
        select format('\m%s\M', word) as pattern
        from (select distinct lower(m[1]) as word from regexp_matches(v_text, '([[:alnum:]]+)', 'g') as m) as words
        -- stemming keeps the beginning of a word; only those that begin like a term are looked at
        where (left(word, 2) = any (v_beginnings) or octet_length(left(word, 2)) > 2) and (
            tsvector_to_array(to_tsvector(v_config, word)) && p_lexemes
            or (v_has_names and '=' || private.folded(word) = any (p_lexemes))
        )
        union
        select regexp_replace(substr(lexeme, 2), '([^[:alnum:]])', '\\\1', 'g')
        from unnest(p_lexemes) as lexeme
        where lexeme ~ '^=.*[^[:alpha:]]' or octet_length(lexeme) > char_length(lexeme) and char_length(lexeme) <= 3
    ) as patterns;
    v_first := coalesce(nullif(regexp_instr(v_text, v_pattern, 1, 1, 0, 'i'), 0), 1);
    -- the part around the first term, from one blank to another
    v_start := case when v_first <= 80 then 1 else v_first - 80 + position(' ' in substr(v_text, v_first - 80, 80)) end;
    v_part := substr(v_text, v_start, 320);
    if char_length(v_text) >= v_start + 320 then
        v_part := regexp_replace(v_part, '\s\S{0,40}$', '') || '…';
    end if;
    v_part := case when v_start > 1 then '…' else '' end || v_part;
    if v_pattern is not null then
        v_part := regexp_replace(v_part, '(' || v_pattern || ')', v_open || '\1' || v_close, 'gi');
    end if;
    v_part := replace(replace(replace(replace(replace(
        v_part, '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;'), '''', '&#39;');
    return replace(replace(v_part, v_open, '<mark>'), v_close, '</mark>');
end
$$;

create function private.find_chunks(
    p_person uuid,
    p_query text,
    p_catalog_course_ids uuid[],
    p_kinds text[],
    p_limit int,
    p_embedding text default null,
    p_model text default null
)
returns table (
    chunk_id uuid, kind text, source_id uuid, title text, content text, highlight text, page_start int, page_end int,
    start_second numeric, end_second numeric, score double precision, mode text
)
language plpgsql
stable
set search_path = ''
-- where a few sources hold most fragments, the planner would rather read everybody's
set enable_seqscan = off
as $$
declare
    v_words text;
    v_phrases text[];
    v_without text[];
    v_scope record;
    v_near uuid[];
begin
    if p_query is null or p_limit is null then
        raise exception 'p_query and p_limit must not be null' using errcode = '22004';
    end if;
    if p_limit not between 1 and 50 then
        raise exception 'p_limit must be between 1 and 50' using errcode = '22023';
    end if;
    if p_kinds && array[null] or not p_kinds <@ array['document', 'lecture', 'content_source'] then
        raise exception 'p_kinds may contain document, lecture and content_source' using errcode = '22023';
    end if;
    if (p_embedding is null) <> (p_model is null) then
        raise exception 'p_embedding and p_model must be given together' using errcode = '22023';
    end if;
    -- words and "phrases", each with a minus sign in front to leave it out
    select
        string_agg(coalesce(m[2], m[3]), ' ' order by nth) filter (where m[1] = ''),
        coalesce(array_agg(m[2] order by nth) filter (where m[1] = '' and m[2] is not null), '{}'),
        coalesce(array_agg(coalesce(m[2], m[3]) order by nth) filter (where m[1] = '-'), '{}')
    into v_words, v_phrases, v_without
    from regexp_matches(left(p_query, 2000), '(?:^|\s)(-?)(?:"([^"]*)"|([^\s"]\S*))', 'g')
        with ordinality as t (m, nth);
    if v_words is null or v_words !~ '[[:alnum:]]' then
        return;
    end if;
    select * into v_scope from private.visible_sources(p_person, p_catalog_course_ids, p_kinds);
    v_near := array(
        select private.nearest_chunks(
            v_scope.documents, v_scope.lectures, v_scope.content_sources, p_embedding, p_model, v_words, v_phrases,
            v_without, 3 * p_limit
        )
    );

    return query
    with matches as (
        select m.*
        from private.lexical_matches(
            v_scope.documents, v_scope.lectures, v_scope.content_sources, v_words, v_phrases, v_without,
            case when v_near = '{}' then p_limit else 3 * p_limit end
        ) with ordinality as m (chunk_id, score, lexemes, place)
    ),
    best as (
        -- reciprocal ranks, because the scores of the two legs are not comparable
        select
            coalesce(m.chunk_id, n.chunk_id) as chunk_id, m.lexemes,
            case when v_near = '{}' then m.score
                else coalesce(1 / (60 + m.place::double precision), 0)
                    + coalesce(1 / (60 + n.place::double precision), 0)
            end as score
        from matches as m
        full join unnest(v_near) with ordinality as n (chunk_id, place) on n.chunk_id = m.chunk_id
        order by 3 desc, 1
        limit p_limit
    )
    select
        c.id,
        case when c.document_id is not null then 'document' when c.lecture_id is not null then 'lecture'
            else 'content_source' end,
        coalesce(c.document_id, c.lecture_id, c.content_source_id),
        coalesce(d.filename, l.title, s.title, ''),
        c.content,
        private.highlighted(c.content, c.language, coalesce(b.lexemes, '{}')),
        c.page_start, c.page_end, c.start_second, c.end_second, b.score,
        case when v_near = '{}' then 'lexical' else 'hybrid' end
    from best as b
    join private.source_chunks as c on c.id = b.chunk_id
    left join public.documents as d on d.id = c.document_id
    left join public.lectures as l on l.id = c.lecture_id
    left join public.content_sources as s on s.id = c.content_source_id
    order by b.score desc, b.chunk_id;
end
$$;

comment on function private.find_chunks(uuid, text, uuid[], text[], int, text, text) is
    'The fragments that answer a query best, of those a person may see. Words are joined by OR; "a phrase" must '
    'occur; -word and -"a phrase" must not. Only the first 2000 characters of the query count. An odd query finds '
    'nothing. With the query''s vector (p_embedding of p_model), places by words and by meaning are fused, and mode '
    'is hybrid where vectors were compared. 22023 for a limit outside 1 to 50 or an unknown kind.';

create or replace function private.search_material(p_query text, p_catalog_course_ids uuid[], p_kinds text[], p_limit int)
returns table (
    chunk_id uuid, kind text, source_id uuid, title text, content text, highlight text, page_start int, page_end int,
    start_second numeric, end_second numeric, score double precision
)
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    return query
    select
        f.chunk_id, f.kind, f.source_id, f.title, f.content, f.highlight, f.page_start, f.page_end, f.start_second,
        f.end_second, f.score
    from private.find_chunks(private.require_caller(), p_query, p_catalog_course_ids, p_kinds, p_limit) as f;
end
$$;

comment on function private.search_material(text, uuid[], text[], int) is 'Behind public.search_material().';

create function public.svc_search_material(
    p_user_id uuid,
    p_query text,
    p_embedding text default null,
    p_model text default null,
    p_catalog_course_ids uuid[] default null,
    p_kinds text[] default null,
    p_limit int default 10
)
returns table (
    chunk_id uuid, kind text, source_id uuid, title text, content text, highlight text, page_start int, page_end int,
    start_second numeric, end_second numeric, score double precision, mode text
)
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    if p_user_id is null then
        raise exception 'p_user_id must not be null' using errcode = '22004';
    end if;
    return query
    select f.*
    from private.find_chunks(
        p_user_id, p_query, p_catalog_course_ids, p_kinds, p_limit, p_embedding, p_model
    ) as f;
end
$$;

comment on function public.svc_search_material(uuid, text, text, text, uuid[], text[], int) is
    'As search_material, for one person. With the query''s vector of length 1 and its model, the search by words is '
    'fused with one by meaning, and mode is hybrid; it is lexical where none of the fragments has a vector of it.';

-- New fragments get vectors every five minutes; until then they are found by words. Without OPENAI_EMBEDDING_MODEL the
-- job does nothing and says so.

insert into private.job_schedules (name, cron, next_run_at, type, catch_up)
values (
    'chunk_embedding', '*/5 * * * *', private.cron_next('*/5 * * * *', 'UTC', now()), 'chunk_embedding', 'skip'
);

-- Private: only the search functions compare vectors. The table exists only where the extension vector does.

do $$
begin
    if to_regclass('private.chunk_embeddings') is null then
        return;
    end if;
    alter table private.chunk_embeddings enable row level security;
    drop policy if exists nobody on private.chunk_embeddings;
    create policy nobody on private.chunk_embeddings to anon, authenticated
    using (false)
    with check (false);
    comment on policy nobody on private.chunk_embeddings is
        'Closed on purpose: only definer functions read and write it.';
end
$$;

-- The worker embeds fragments.

grant execute on function public.svc_chunks_to_embed(text, int) to service_role;
grant execute on function public.svc_store_embeddings(text, jsonb) to service_role;

grant execute on function public.svc_search_material(uuid, text, text, text, uuid[], text[], int) to service_role;
