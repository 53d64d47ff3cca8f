-- The worker embeds fragments.

grant execute on function public.svc_chunks_to_embed(text, int) to service_role;
grant execute on function public.svc_store_embeddings(text, jsonb) to service_role;
