-- For the service alone: it checks ownership before it calls.

grant execute on function public.svc_start_canvas_sync(uuid, uuid[], uuid[]) to service_role;
