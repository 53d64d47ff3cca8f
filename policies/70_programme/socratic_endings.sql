-- The Socratic service and its worker only.

grant execute on function public.svc_end_socratic(uuid, uuid) to service_role;

grant execute on function public.svc_finish_socratic_insights(uuid, jsonb, text, text, jsonb) to service_role;
