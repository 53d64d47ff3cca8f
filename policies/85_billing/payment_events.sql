-- Service only: payloads hold what Stripe knows about people.

alter table public.payment_events enable row level security;
revoke all on public.payment_events from public, anon, authenticated, app_admin, service_role;

grant all on public.payment_events to service_role;

create policy nobody on public.payment_events for all to anon, authenticated using (false) with check (false);
comment on policy nobody on public.payment_events is 'Nobody reaches payment events by the API, staff included.';

revoke all on function private.keep_event_processed() from public, anon, authenticated, app_admin, service_role;
