-- Private: the search functions show a person the fragments of what they may see.

alter table private.source_chunks enable row level security;

create policy nobody on private.source_chunks to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.source_chunks is 'Closed on purpose: only definer functions read and write it.';
