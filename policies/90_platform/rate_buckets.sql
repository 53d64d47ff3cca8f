-- No API role reaches the table; the services use the function.

alter table private.rate_buckets enable row level security;

create policy nobody on private.rate_buckets for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.rate_buckets is 'Nobody reaches the counters by the API.';

grant execute on function public.svc_take_rate(text, int, int) to service_role;
