-- Long texts: fragments are prepared in several calls and then replaced in one short one, so that a book is stored within the
-- time that a call may take, and its old fragments are found until the new ones are. Highlights take half the time.
-- Touches: 50_lectures. Undo: restore svc_replace_chunks() and private.highlighted() of the migrations before, then drop
-- what it creates. No row is lost.

set lock_timeout = '5s';

create function private.chunk_hash(p_heading text, p_content text)
returns text
language sql
immutable
set search_path = ''
as $$
    select encode(sha256(convert_to(coalesce(p_heading, '') || e'\n' || p_content, 'UTF8')), 'hex');
$$;

comment on function private.chunk_hash(text, text) is 'SHA-256 of heading and text, hex; the service computes the same.';

create function private.lock_source_of_chunks(p_kind text, p_source_id uuid, p_chunks jsonb)
returns void
language plpgsql
volatile
set search_path = ''
as $$
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
end
$$;

comment on function private.lock_source_of_chunks(text, uuid, jsonb) is
    'Checks the arguments of the writers of fragments, and makes two writers of one source follow each other. 22004 or '
    '22023 for bad arguments, PT404 when there is no such source.';

create function public.svc_prepare_chunks(p_kind text, p_source_id uuid, p_chunks jsonb)
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_document constant uuid := case p_kind when 'document' then p_source_id end;
    v_lecture constant uuid := case p_kind when 'lecture' then p_source_id end;
    v_content_source constant uuid := case p_kind when 'content_source' then p_source_id end;
    v_count int;
begin
    perform private.lock_source_of_chunks(p_kind, p_source_id, p_chunks);
    insert into private.source_chunks (
        document_id, lecture_id, content_source_id, ordinal, content, content_hash, heading, language, retired_at
    )
    select distinct on (h.content_hash)
        v_document, v_lecture, v_content_source, 0, c.content, h.content_hash, c.heading, coalesce(c.language, 'und'),
        now()
    from jsonb_to_recordset(p_chunks) as c (content text, content_hash text, heading text, language text),
        lateral (select coalesce(c.content_hash, private.chunk_hash(c.heading, c.content)) as content_hash) as h
    where not exists (
        select from private.source_chunks as s
        where s.content_hash = h.content_hash
            and (s.document_id = v_document or s.lecture_id = v_lecture or s.content_source_id = v_content_source)
    );
    get diagnostics v_count = row_count;
    return v_count;
end
$$;

comment on function public.svc_prepare_chunks(text, uuid, jsonb) is
    'Stores fragments that svc_replace_chunks will need, as retired ones that nobody finds. What takes long is to make '
    'them searchable; prepared in several calls, a long text is then replaced in one short one. Arguments as of '
    'svc_replace_chunks. Returns how many were stored; repeatable.';

create or replace function public.svc_replace_chunks(p_kind text, p_source_id uuid, p_chunks jsonb)
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
    perform private.lock_source_of_chunks(p_kind, p_source_id, p_chunks);
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
                select coalesce(c.content_hash, private.chunk_hash(c.heading, c.content)) as content_hash
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
    reread as (
        update private.source_chunks as s
        set ordinal = g.ordinal, content = g.content, heading = g.heading, language = g.language,
            page_start = g.page_start, page_end = g.page_end, start_second = g.start_second,
            end_second = g.end_second, retired_at = null
        from same as g
        where s.id = g.id and (s.content, s.heading, s.language) is distinct from (g.content, g.heading, g.language)
    ),
    moved as (
        -- apart from the others, because a text that is set is made searchable again
        update private.source_chunks as s
        set ordinal = g.ordinal, page_start = g.page_start, page_end = g.page_end, start_second = g.start_second,
            end_second = g.end_second, retired_at = null
        from same as g
        where s.id = g.id and (s.content, s.heading, s.language) is not distinct from (g.content, g.heading, g.language)
            and (
                s.ordinal, s.page_start, s.page_end, s.start_second, s.end_second, s.retired_at
            ) is distinct from (
                g.ordinal, g.page_start, g.page_end, g.start_second::numeric(10, 3), g.end_second::numeric(10, 3), null
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


grant execute on function public.svc_prepare_chunks(text, uuid, jsonb) to service_role;
