-- For the service alone: it checks ownership before it calls.

grant execute on function public.svc_get_sync_cursors(uuid, text)
to service_role;

grant execute on function public.svc_apply_assignment_pages(jsonb)
to service_role;
