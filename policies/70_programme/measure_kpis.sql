-- The service alone, which says whose week it must be.

grant execute on function public.svc_measure_kpis(uuid, uuid, timestamptz) to service_role;
