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
