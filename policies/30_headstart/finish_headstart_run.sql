-- The worker only.

grant execute on function public.svc_finish_headstart_run(uuid, text, jsonb, text, jsonb) to service_role;
