-- No API role reaches the table; the sweeper uses the functions.

alter table private.storage_deletions enable row level security;

create policy nobody on private.storage_deletions for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.storage_deletions is 'Nobody reaches the outbox by the API.';

grant execute on function public.svc_claim_storage_deletions(int) to service_role;

grant execute on function public.svc_finish_storage_deletion(bigint, text) to service_role;
