-- The person of the week reads them; the service writes them.

alter table public.kpi_metrics enable row level security;

grant select on public.kpi_metrics to authenticated;
grant all on public.kpi_metrics to service_role;

create policy select_own on public.kpi_metrics for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.kpi_metrics is 'Learners see their own metrics.';
