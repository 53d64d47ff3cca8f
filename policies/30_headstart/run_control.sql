-- The service only; cancelling checks the owner itself.

grant execute on function public.svc_begin_headstart_run(uuid, text, text, text) to service_role;

grant execute on function public.svc_count_headstart_call(uuid, bigint) to service_role;

grant execute on function public.svc_end_headstart_run(uuid, bigint, text, jsonb, text, jsonb) to service_role;

grant execute on function public.svc_cancel_headstart_run(uuid, uuid) to service_role;
