-- Only the service writes the registry.

grant execute on function public.svc_register_lti_platform(text, text, text, text, text) to service_role;

grant execute on function public.svc_register_lti_client(uuid, text) to service_role;

grant execute on function public.svc_register_lti_deployment(uuid, text, uuid) to service_role;

grant execute on function public.svc_set_lti_status(text, uuid, text) to service_role;

grant execute on function public.svc_find_lti_registrations(uuid, text, text, text) to service_role;
