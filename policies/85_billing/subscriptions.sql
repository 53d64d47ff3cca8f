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
