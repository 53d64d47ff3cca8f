-- No API role has rights on the table; the services use the functions.

alter table private.idempotency_keys enable row level security;

create policy nobody on private.idempotency_keys for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.idempotency_keys is 'Closed on purpose: nobody uses kept answers over the API.';

grant execute on function public.svc_begin_idempotent(uuid, text, text, text) to service_role;

grant execute on function public.svc_finish_idempotent(uuid, text, text, int, jsonb) to service_role;
