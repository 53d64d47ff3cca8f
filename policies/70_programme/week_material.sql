-- The job that writes notes alone: it says whose week it must be.

grant execute on function public.svc_get_week_material(uuid, uuid) to service_role;
