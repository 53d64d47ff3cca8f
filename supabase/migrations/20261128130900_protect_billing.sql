-- Grants and row level security of the room 85_billing.
-- Touches: 85_billing. Undo: drop what it creates, newest first; nothing in it destroys data.

set lock_timeout = '5s';

-- The price list: visitors read it, too; staff write it.

alter table public.plans enable row level security;

grant select on public.plans to anon;
grant select on public.plans to authenticated;
grant insert (
    id, name, display_name, description, price_monthly, price_annual, currency, features, limits,
    stripe_price_id_monthly, stripe_price_id_annual, is_active, sort_order
) on public.plans to app_admin;
grant update on public.plans to app_admin;
grant delete on public.plans to app_admin;
grant all on public.plans to service_role;

create policy select_visitor on public.plans for select to anon
using (is_active);
comment on policy select_visitor on public.plans is 'Visitors see what is on sale.';

create policy select_active on public.plans for select to authenticated
using (is_active and (select private.caller_id()) is not null);
comment on policy select_active on public.plans is 'Everybody sees what is on sale.';

create policy all_admin_of_now on public.plans as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.plans is 'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.plans for select to app_admin
using (true);
comment on policy select_admin on public.plans is 'Staff see every plan.';

create policy insert_admin on public.plans for insert to app_admin
with check (true);
comment on policy insert_admin on public.plans is 'Staff add plans.';

create policy update_admin on public.plans for update to app_admin
using (true)
with check (true);
comment on policy update_admin on public.plans is 'Staff change plans.';

create policy delete_admin on public.plans for delete to app_admin
using (true);
comment on policy delete_admin on public.plans is 'Staff delete plans that nobody ever had.';

-- The customer and staff read it; the service writes it, as a mirror of Stripe.

alter table public.subscriptions enable row level security;

grant select on public.subscriptions to authenticated;
grant all on public.subscriptions to service_role;

create policy select_own on public.subscriptions for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.subscriptions is 'Customers see their own subscriptions.';

create policy all_admin_of_now on public.subscriptions as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.subscriptions is
    'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.subscriptions for select to app_admin
using (true);
comment on policy select_admin on public.subscriptions is 'Staff see every subscription.';

-- No API role has rights on the table; the trigger of invoices writes it.

alter table private.billing_archive enable row level security;

create policy nobody on private.billing_archive for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.billing_archive is 'Closed on purpose: nobody uses it over the API.';

-- The customer and staff read it; the service writes it, as a mirror of Stripe.

alter table public.invoices enable row level security;

grant select on public.invoices to authenticated;
grant all on public.invoices to service_role;

create policy select_own on public.invoices for select to authenticated
using (subscription_id = any((select private.my_subscriptions())::uuid[]));
comment on policy select_own on public.invoices is 'Customers see the invoices of their own subscriptions.';

create policy all_admin_of_now on public.invoices as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.invoices is 'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.invoices for select to app_admin
using (true);
comment on policy select_admin on public.invoices is 'Staff see every invoice.';

-- Service only: payloads hold what Stripe knows about people.

alter table public.payment_events enable row level security;

grant all on public.payment_events to service_role;

create policy nobody on public.payment_events for all to anon, authenticated using (false) with check (false);
comment on policy nobody on public.payment_events is 'Closed on purpose: nobody uses it over the API, staff included.';

-- Run inside policies, as the caller.

grant execute on function private.my_subscriptions() to authenticated;

-- The billing service and its worker only.

grant execute on function public.svc_record_payment_event(text, text, jsonb, timestamptz, boolean, text)
to service_role;

grant execute on function public.svc_apply_stripe_event(text) to service_role;
