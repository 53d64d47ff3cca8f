-- The service picks in a student's name.

grant execute on function public.svc_pick_practice(uuid, uuid, int, text[], uuid, boolean, bigint) to service_role;
