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
