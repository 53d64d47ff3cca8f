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
