-- Service only: payloads hold what Stripe knows about people.

alter table public.payment_events enable row level security;

grant all on public.payment_events to service_role;

create policy nobody on public.payment_events for all to anon, authenticated using (false) with check (false);
comment on policy nobody on public.payment_events is 'Closed on purpose: nobody uses it over the API, staff included.';
