-- The search. BM25 over the fragments that one person may see, and over nothing else: other people's fragments are not
-- read, so that they change neither results nor scores nor times. There is no index on words for that reason; the time
-- of a search grows with what the person sees.
--
--   visible_chunks    whose fragments (the only place that decides)
--   query_terms       what the words of the query are in each language
--   lexical_matches   BM25: k1 1.2, b 0.75, document frequencies over the visible fragments
--   find_chunks       the best matches, with titles and highlights

create function private.visible_chunks(p_person uuid, p_catalog_course_ids uuid[], p_kinds text[])
returns uuid[]
language plpgsql
stable
set search_path = ''
as $$
declare
    v_documents constant uuid[] := array(
        select d.id from public.documents as d
        where d.owner_id = p_person
            and (p_kinds is null or 'document' = any (p_kinds))
            and (p_catalog_course_ids is null or d.catalog_course_id = any (p_catalog_course_ids))
    );
    v_lectures constant uuid[] := array(
        select l.id from public.user_lectures as u join public.lectures as l on l.id = u.lecture_id
        where u.user_id = p_person
            and (p_kinds is null or 'lecture' = any (p_kinds))
            and (p_catalog_course_ids is null or l.catalog_course_id = any (p_catalog_course_ids))
    );
    v_content_sources constant uuid[] := array(
        select s.id from public.content_sources as s left join public.classes as c on c.id = s.class_id
        where s.teacher_id = p_person
            and (p_kinds is null or 'content_source' = any (p_kinds))
            and (p_catalog_course_ids is null or c.catalog_course_id = any (p_catalog_course_ids))
            -- who is no longer a teacher keeps the rows, but not the use of them
            and exists (select from public.profiles where user_id = p_person and role = 'teacher')
    );
begin
    -- lists instead of joins, because a join may be planned as a scan of everybody's fragments
    return array(
        select id from private.source_chunks where document_id = any (v_documents) and retired_at is null
        union all
        select id from private.source_chunks where lecture_id = any (v_lectures) and retired_at is null
        union all
        select id from private.source_chunks where content_source_id = any (v_content_sources) and retired_at is null
    );
end
$$;

comment on function private.visible_chunks(uuid, uuid[], text[]) is
    'The fragments that a person may find: of their own documents, of lectures they follow, and of their own material '
    'as a teacher; of these courses and kinds (document, lecture, content_source), where given. Never retired ones.';

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
    p_scope uuid[], p_words text, p_phrases text[], p_without text[]
)
returns table (chunk_id uuid, score double precision, lexemes text[])
-- plpgsql keeps the plan between calls; the plan takes longer to make than to run
language plpgsql
stable
set search_path = ''
as $$
begin
    return query
    with scope as materialized (
        select language, count(*) as chunks, sum(term_count) as terms
        from private.source_chunks where id = any (p_scope) group by language
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
        -- the vector is cut down to the terms of the query before it is taken apart
        select c.id, c.term_count, c.language, h.lexeme, cardinality(h.positions) as occurrences
        from private.source_chunks as c join queries as q on q.language = c.language,
            lateral unnest(ts_filter(setweight(c.search, 'A', q.wanted), '{a}')) as h
        where c.id = any (p_scope) and (q.filter is null or c.search @@ q.filter)
    ),
    counted as (
        select h.id, h.term_count, h.lexeme, h.occurrences, count(*) over (partition by t.term) as chunks
        from hits as h join terms as t on t.language = h.language and t.lexeme = h.lexeme
    )
    select
        c.id,
        sum(
            ln(1 + (a.chunks - c.chunks + 0.5) / (c.chunks + 0.5))
            * c.occurrences * 2.2 / (c.occurrences + 1.2 * (0.25 + 0.75 * c.term_count / a.mean_terms))
        ),
        array_agg(distinct c.lexeme)
    from counted as c, total as a
    group by c.id;
end
$$;

comment on function private.lexical_matches(uuid[], text, text[], text[]) is
    'BM25 of these fragments for the words of a query, of which any one is enough. Frequencies and mean length are '
    'those of these fragments alone.';

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
    v_beginnings constant text[] := array(select left(ltrim(lexeme, '='), 2) from unnest(p_lexemes) as lexeme);
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
            tsvector_to_array(to_tsvector(v_config, word)) && p_lexemes or '=' || private.folded(word) = any (p_lexemes)
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

comment on function private.highlighted(text, text, text[]) is
    'The part of a text around its first term, as HTML: everything is escaped, and terms stand in <mark>.';

create function private.find_chunks(
    p_person uuid,
    p_query text,
    p_catalog_course_ids uuid[],
    p_kinds text[],
    p_limit int
)
returns table (
    chunk_id uuid, kind text, source_id uuid, title text, content text, highlight text, page_start int, page_end int,
    start_second numeric, end_second numeric, score double precision
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

    return query
    with best as (
        select m.chunk_id, m.score, m.lexemes
        from private.lexical_matches(
            private.visible_chunks(p_person, p_catalog_course_ids, p_kinds), v_words, v_phrases, v_without
        ) as m
        order by m.score desc, m.chunk_id
        limit p_limit
    )
    select
        c.id,
        case when c.document_id is not null then 'document' when c.lecture_id is not null then 'lecture'
            else 'content_source' end,
        coalesce(c.document_id, c.lecture_id, c.content_source_id),
        coalesce(d.filename, l.title, s.title, ''),
        c.content,
        private.highlighted(c.content, c.language, b.lexemes),
        c.page_start, c.page_end, c.start_second, c.end_second, b.score
    from best as b
    join private.source_chunks as c on c.id = b.chunk_id
    left join public.documents as d on d.id = c.document_id
    left join public.lectures as l on l.id = c.lecture_id
    left join public.content_sources as s on s.id = c.content_source_id
    order by b.score desc, b.chunk_id;
end
$$;

comment on function private.find_chunks(uuid, text, uuid[], text[], int) is
    'The fragments that answer a query best, of those a person may see. Words are joined by OR; "a phrase" must '
    'occur; -word and -"a phrase" must not. Only the first 2000 characters of the query count. An odd query finds '
    'nothing. 22023 for a limit outside 1 to 50 or an unknown kind.';
