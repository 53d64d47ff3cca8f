-- Only the service takes a person from a launch to a session.

grant execute on function public.svc_create_lti_state(text, text, uuid, text, text, text, text) to service_role;

grant execute on function public.svc_use_lti_state(text) to service_role;

grant execute on function public.svc_get_lti_deployment(uuid, text) to service_role;

grant execute on function public.svc_reserve_lti_identity(uuid, text) to service_role;

grant execute on function public.svc_finish_lti_launch(
    uuid, uuid, text, text, text, text, text[], text, jsonb, text, text, text
) to service_role;

grant execute on function public.svc_take_lti_ticket(text, text[]) to service_role;
