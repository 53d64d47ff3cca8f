-- The daily schedule only.

grant execute on function public.svc_purge_expired() to service_role;
