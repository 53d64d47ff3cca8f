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
