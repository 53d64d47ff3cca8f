-- The search. BM25 over the fragments that one person may see, and over nothing else: other people's fragments are not
-- read, so that they change neither results nor scores nor times. There is no index on words for that reason; the time
-- of a search grows with what the person sees.
--
--   visible_sources   whose fragments (the only place that decides)
--   query_terms       what the words of the query are in each language
--   lexical_matches   BM25: k1 1.2, b 0.75, document frequencies over the visible fragments
--   nearest_chunks    the nearest vectors (a file of its own)
--   find_chunks       the best matches, with titles and highlights

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

create function private.query_terms(p_words text, p_config regconfig)
returns table (term text, lexeme text)
language sql
stable
set search_path = ''
as $$
    with stems as (
        select 'word ' || nth as term, s.lexeme, nth
        from unnest(to_tsvector(p_config, p_words)) as s, unnest(s.positions) as nth
        where nth <= 64
    )
    select s.term, s.lexeme from stems as s
    union
    -- any word may be a name, unless it is a stop word
    select '=' || private.folded(w.lexeme), '=' || private.folded(w.lexeme)
    from unnest(to_tsvector('pg_catalog.simple', p_words)) as w
    where exists (select from stems as s where s.nth = any (w.positions))
    union
    select literal, literal
    from (
        select private.sign_terms(p_words)
        union all
        select '=' || private.folded(m[1]) from regexp_matches(p_words, '([[:upper:]][[:alpha:]]{1,40})', 'g') as m
        limit 64
    ) as l (literal);
$$;

comment on function private.query_terms(text, regconfig) is
    'The terms of a query in one language: lexeme is how fragments of that language write it, term names the same '
    'word of the query in every language. At most 64 words and 64 literal terms count.';

create function private.query_filter(p_phrases text[], p_without text[], p_config regconfig)
returns tsquery
language plpgsql
stable
set search_path = ''
as $$
declare
    v_filter tsquery;
    v_part tsquery;
    v_literal text;
    v_phrase text;
begin
    for i in 1 .. cardinality(p_phrases || p_without) loop
        v_phrase := (p_phrases || p_without)[i];
        select string_agg(format('''%s''', replace(replace(term, '\', '\\'), '''', '''''')), ' & ') into v_literal
        from private.sign_terms(v_phrase) as term;
        v_part := coalesce(v_literal::tsquery, phraseto_tsquery(p_config, v_phrase));
        -- stop words alone ask for nothing
        if numnode(v_part) > 0 then
            v_part := case when i > cardinality(p_phrases) then !!v_part else v_part end;
            v_filter := coalesce(v_filter && v_part, v_part);
        end if;
    end loop;
    return v_filter;
end
$$;

comment on function private.query_filter(text[], text[], regconfig) is
    'The condition on fragments of one language: they contain each phrase and none of the words and phrases to leave '
    'out. Null where there is no condition.';

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

create function private.highlighted(p_text text, p_language text, p_lexemes text[])
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
    -- Stemming keeps the beginning of a word. So only words are looked at that begin like a term, or with letters that
    -- English does not have.
    v_candidates constant text := (
        select format('(\m(?:%s[[:alnum:]]?[^\u0001-\u007f])[[:alnum:]]*)', string_agg(beginning || '|', ''))
        from (
            select distinct substring(lexeme from '^=?([[:alnum:]]{1,2})') as beginning
            from unnest(p_lexemes) as lexeme
        ) as b
    );
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
        from (select distinct lower(m[1]) as word from regexp_matches(v_text, v_candidates, 'gi') as m) as words
        where tsvector_to_array(to_tsvector(v_config, word)) && p_lexemes
            or (v_has_names and '=' || private.folded(word) = any (p_lexemes))
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

comment on function private.highlighted(text, text, text[]) is
    'The part of a text around its first term, as HTML: everything is escaped, and terms stand in <mark>.';

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
