-- For the service alone.

grant execute on function public.svc_notify_due_assignments(int) to service_role;
