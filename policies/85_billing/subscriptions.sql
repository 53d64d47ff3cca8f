-- Read by the customer and staff; a mirror of Stripe, written by the service.

alter table public.subscriptions enable row level security;
revoke all on public.subscriptions from public, anon, authenticated, app_admin, service_role;

grant select on public.subscriptions to authenticated;
grant all on public.subscriptions to service_role;

create policy all_not_anonymous on public.subscriptions as restrictive for all to authenticated
    using (((select auth.jwt()) ->> 'is_anonymous') is distinct from 'true')
    with check (((select auth.jwt()) ->> 'is_anonymous') is distinct from 'true');
comment on policy all_not_anonymous on public.subscriptions is 'Anonymous sign-ins have no rights here.';

create policy select_own on public.subscriptions for select to authenticated
    using (user_id = (select auth.uid()));
comment on policy select_own on public.subscriptions is 'A customer sees his own subscriptions.';

create policy select_admin on public.subscriptions for select to app_admin
    using (true);
comment on policy select_admin on public.subscriptions is 'Staff see every subscription.';
