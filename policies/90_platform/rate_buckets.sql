-- No API role has rights on the table; the services use the function.

alter table private.rate_buckets enable row level security;

create policy nobody on private.rate_buckets for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.rate_buckets is 'Closed on purpose: nobody uses the counters over the API.';

grant execute on function public.svc_take_rate(text, int, int) to service_role;
