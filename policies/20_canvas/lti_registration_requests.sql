-- Only the service notes what platforms ask for, and what administrators decide.

grant execute on function public.svc_request_lti_registration(
    text, text, text, text, text, text, text, text
) to service_role;

grant execute on function public.svc_list_lti_registrations() to service_role;

grant execute on function public.svc_decide_lti_registration(uuid, text, uuid, uuid, text) to service_role;
