-- Only the service joins accounts to people of Canvas, for the person who is signed in.

grant execute on function public.svc_link_lti_identity(text, text[], uuid) to service_role;

grant execute on function public.svc_unlink_lti_identities(uuid) to service_role;
