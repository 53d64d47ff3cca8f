-- The service alone: it says whose week it must be, and its jobs hold a lease.

grant execute on function public.svc_begin_week_notes(uuid, uuid, text[], text) to service_role;
grant execute on function public.svc_begin_brand_package(uuid, uuid, text) to service_role;
grant execute on function public.svc_get_brand_mode(uuid) to service_role;
grant execute on function public.svc_store_clo_note(uuid, uuid, jsonb, text, text) to service_role;
grant execute on function public.svc_store_brand_package(uuid, uuid, jsonb, text, text) to service_role;
