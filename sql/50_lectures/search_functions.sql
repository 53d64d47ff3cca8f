-- What is called from outside: by clients for themselves, by the service for a person.

create function private.search_material(p_query text, p_catalog_course_ids uuid[], p_kinds text[], p_limit int)
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

create function public.search_material(
    p_query text, p_catalog_course_ids uuid[] default null, p_kinds text[] default null, p_limit int default 10
)
returns table (
    chunk_id uuid, kind text, source_id uuid, title text, content text, highlight text, page_start int, page_end int,
    start_second numeric, end_second numeric, score double precision
)
language sql
stable
set search_path = ''
begin atomic
    select * from private.search_material(p_query, p_catalog_course_ids, p_kinds, p_limit);
end;

comment on function public.search_material(text, uuid[], text[], int) is
    'Finds fragments of your own documents, of lectures you follow, and of your own material as a teacher, best '
    'first. Words are joined by OR; "a phrase" must occur, and -word must not. content is raw text; highlight is '
    'escaped HTML with <mark>. An empty or odd query finds nothing.';

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
