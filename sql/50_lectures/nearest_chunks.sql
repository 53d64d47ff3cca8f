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
