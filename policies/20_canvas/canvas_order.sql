-- For the service alone.

grant execute on function public.svc_apply_modules(uuid, jsonb) to service_role;

grant execute on function public.svc_apply_todo(uuid, text[]) to service_role;
