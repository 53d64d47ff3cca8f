-- No API role has rights on the table; the services use the functions.

alter table private.usage_counters enable row level security;

create policy nobody on private.usage_counters for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.usage_counters is 'Closed on purpose: nobody uses the counters over the API.';

grant execute on function public.svc_take_usage(uuid, text, bigint) to service_role;

grant execute on function public.svc_return_usage(uuid, text, bigint, timestamptz) to service_role;
