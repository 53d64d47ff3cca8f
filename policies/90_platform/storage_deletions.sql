-- No API role has rights on the table; the sweeper uses the functions.

alter table private.storage_deletions enable row level security;

create policy nobody on private.storage_deletions for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.storage_deletions is 'Closed on purpose: nobody uses the outbox over the API.';

grant execute on function public.svc_claim_storage_deletions(int) to service_role;

grant execute on function public.svc_finish_storage_deletion(bigint, text) to service_role;
