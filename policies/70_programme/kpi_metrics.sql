-- Read by their person; written by the service.

alter table public.kpi_metrics enable row level security;
revoke all on public.kpi_metrics from public, anon, authenticated, app_admin, service_role;

grant select on public.kpi_metrics to authenticated;
grant all on public.kpi_metrics to service_role;

create policy all_not_anonymous on public.kpi_metrics as restrictive for all to authenticated
    using (((select auth.jwt()) ->> 'is_anonymous') is distinct from 'true')
    with check (((select auth.jwt()) ->> 'is_anonymous') is distinct from 'true');
comment on policy all_not_anonymous on public.kpi_metrics is 'Anonymous sign-ins have no rights here.';

create policy select_own on public.kpi_metrics for select to authenticated
    using (user_id = (select auth.uid()));
comment on policy select_own on public.kpi_metrics is 'A learner sees his own metrics.';

revoke all on function private.derive_kpi() from public, anon, authenticated, app_admin, service_role;
