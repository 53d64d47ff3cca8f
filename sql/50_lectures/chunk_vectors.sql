-- What the search knows of a text: the stems of its language, and literal terms for what stemming loses.
--
-- Literal terms begin with "=", which no stem does: C++ and snake_case names (the parser drops their signs), names of
-- people (a stemmer takes Bayes for a bay, and Will for a stop word), and single characters and pairs of scripts that
-- write no spaces (the parser takes a whole sentence for one word).

create function private.search_config(p_language text)
returns regconfig
language sql
immutable
parallel safe
set search_path = ''
as $$
    select case p_language
        when 'ar' then 'pg_catalog.arabic' when 'ca' then 'pg_catalog.catalan' when 'da' then 'pg_catalog.danish'
        when 'de' then 'pg_catalog.german' when 'el' then 'pg_catalog.greek' when 'en' then 'pg_catalog.english'
        when 'es' then 'pg_catalog.spanish' when 'eu' then 'pg_catalog.basque' when 'fi' then 'pg_catalog.finnish'
        when 'fr' then 'pg_catalog.french' when 'ga' then 'pg_catalog.irish' when 'hi' then 'pg_catalog.hindi'
        when 'hu' then 'pg_catalog.hungarian' when 'hy' then 'pg_catalog.armenian'
        when 'id' then 'pg_catalog.indonesian' when 'it' then 'pg_catalog.italian'
        when 'lt' then 'pg_catalog.lithuanian' when 'nb' then 'pg_catalog.norwegian'
        when 'ne' then 'pg_catalog.nepali' when 'nl' then 'pg_catalog.dutch' when 'no' then 'pg_catalog.norwegian'
        when 'pt' then 'pg_catalog.portuguese' when 'ro' then 'pg_catalog.romanian'
        when 'ru' then 'pg_catalog.russian' when 'sr' then 'pg_catalog.serbian' when 'sv' then 'pg_catalog.swedish'
        when 'ta' then 'pg_catalog.tamil' when 'tr' then 'pg_catalog.turkish'
        else 'pg_catalog.simple'
    end::regconfig;
$$;

comment on function private.search_config(text) is
    'The text search configuration of a language (en, de); simple, which stems nothing, for the others.';

create function private.folded(p_text text)
returns text
language sql
immutable
strict
parallel safe
set search_path = ''
as $$
    -- composed again, because decomposing also takes Korean syllables apart
    select normalize(regexp_replace(normalize(lower(p_text), nfkd), '[\u0300-\u036f]+', '', 'g'), nfkc);
$$;

comment on function private.folded(text) is 'Lower case without accents.';

create function private.sign_terms(p_text text)
returns setof text
-- plpgsql keeps the plan between calls
language plpgsql
immutable
strict
parallel safe
set search_path = ''
as $$
declare
    -- characters of Chinese, Japanese, Korean, Thai, Lao, Burmese and Khmer
    v_spaceless constant text :=
        '[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]';
begin
    return query
    -- C++, F#, snake_case, std::vector, a->b
    select '=' || lower(m[1])
    from regexp_matches(
        p_text, '(?<![\w+#])([[:alpha:]][[:alnum:]]*(?:[+#]{1,3}(?!\w)|(?:(?:_|::|->)[[:alnum:]]+)+))', 'g'
    ) as m
    where octet_length(m[1]) <= 200
    union all
    -- each character and pair of them, so that one alone is found, too
    select '=' || term
    from (
        select c, lead(c) over (order by nth) as next
        from string_to_table(p_text, null) with ordinality as t (c, nth)
        where p_text ~ v_spaceless
    ) as characters,
        lateral (
            values (c), (case when next ~ v_spaceless then c || next end)
        ) as v (term)
    where c ~ v_spaceless and term is not null;
end
$$;

comment on function private.sign_terms(text) is
    'The literal terms of a text that are told by their signs or script, in no order, as often as they stand in it.';

create function private.chunk_vector(p_language text, p_heading text, p_content text)
returns tsvector
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
    v_config constant regconfig := private.search_config(p_language);
    v_literals text;
begin
    -- in the text form of a vector: each term with a position for every time it occurs
    select string_agg(format('''%s'':%s', replace(replace(term, '\', '\\'), '''', ''''''), positions), ' ')
    into v_literals
    from (
        select term, string_agg(nth::text, ',') as positions
        from (
            select term, row_number() over (partition by term) as nth
            from (
                select private.sign_terms(coalesce(p_heading, '') || e'\n' || p_content)
                union all
                -- names: capitalised, but not because a sentence begins
                select '=' || private.folded(m[1])
                from regexp_matches(p_content, '(?<=[[:alpha:],;] )([[:upper:]][[:alpha:]]{1,40})', 'g') as m
            ) as literal (term)
        ) as counted
        where nth <= 255
        group by term
    ) as terms;
    -- without weights, because the search uses one to pick terms out
    return to_tsvector(v_config, coalesce(p_heading, '')) || to_tsvector(v_config, p_content)
        || coalesce(v_literals, '')::tsvector;
end
$$;

comment on function private.chunk_vector(text, text, text) is
    'What a fragment is found by: stems of heading and text, and literal terms.';

create function private.index_chunk()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new.search := private.chunk_vector(new.language, new.heading, new.content);
    select coalesce(sum(cardinality(positions)), 0) into new.term_count from unnest(new.search);
    return new;
end
$$;

comment on function private.index_chunk() is
    'BEFORE INSERT or UPDATE on source_chunks: what the fragment is found by, and its length. Not generated columns, '
    'because the second would make the vector once more.';
