-- For the service alone: it checks ownership before it calls.

grant execute on function public.svc_connect_integration(
    uuid, uuid, uuid, text, text[], text, text, timestamptz, text, text, boolean
)
to service_role;

grant execute on function public.svc_disconnect_integration(uuid)
to service_role;

grant execute on function public.svc_expire_integration(uuid)
to service_role;

grant execute on function public.svc_apply_courses(uuid, jsonb)
to service_role;

grant execute on function public.svc_missing_courses(uuid, bigint[])
to service_role;

grant execute on function public.svc_mark_course(uuid, text, boolean)
to service_role;

grant execute on function public.svc_apply_assignments(uuid, jsonb, jsonb)
to service_role;

grant execute on function public.svc_missing_assignments(uuid, bigint[])
to service_role;

grant execute on function public.svc_finish_assignments(uuid, bigint[], jsonb, bigint[])
to service_role;
