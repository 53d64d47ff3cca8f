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
