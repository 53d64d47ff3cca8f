-- Read by the customer and staff; a mirror of Stripe, written by the service.

alter table public.invoices enable row level security;
revoke all on public.invoices from public, anon, authenticated, app_admin, service_role;

grant select on public.invoices to authenticated;
grant all on public.invoices to service_role;

create policy all_not_anonymous on public.invoices as restrictive for all to authenticated
    using (((select auth.jwt()) ->> 'is_anonymous') is distinct from 'true')
    with check (((select auth.jwt()) ->> 'is_anonymous') is distinct from 'true');
comment on policy all_not_anonymous on public.invoices is 'Anonymous sign-ins have no rights here.';

create policy select_own on public.invoices for select to authenticated
    using (subscription_id = any ((select private.my_subscriptions())::uuid[]));
comment on policy select_own on public.invoices is 'A customer sees the invoices of his own subscriptions.';

create policy select_admin on public.invoices for select to app_admin
    using (true);
comment on policy select_admin on public.invoices is 'Staff see every invoice.';

revoke all on function private.archive_invoice() from public, anon, authenticated, app_admin, service_role;
