-- The registry is kept through the service only.

revoke all on function public.svc_register_lti_platform(text, text, text, text, text) from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_register_lti_platform(text, text, text, text, text) to service_role;

revoke all on function public.svc_register_lti_client(uuid, text) from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_register_lti_client(uuid, text) to service_role;

revoke all on function public.svc_register_lti_deployment(uuid, text, uuid) from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_register_lti_deployment(uuid, text, uuid) to service_role;

revoke all on function public.svc_set_lti_status(text, uuid, text) from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_set_lti_status(text, uuid, text) to service_role;
