-- No API role has rights on the table; claims and svc_pause_provider use it.

alter table private.provider_buckets enable row level security;

create policy nobody on private.provider_buckets for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.provider_buckets is 'Closed on purpose: nobody uses the buckets over the API.';

grant execute on function public.svc_pause_provider(text, numeric) to service_role;
