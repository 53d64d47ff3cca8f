-- No API role reaches the table; the services use the function.

alter table private.rate_buckets enable row level security;
revoke all on private.rate_buckets from public, anon, authenticated, app_admin, service_role;

create policy nobody on private.rate_buckets for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.rate_buckets is 'Nobody reaches the counters by the API.';

revoke all on function public.svc_take_rate(text, int, int) from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_take_rate(text, int, int) to service_role;
