-- The tutoring service's worker only.

grant execute on function public.svc_question_terms(uuid, text, uuid[], uuid[]) to service_role;

grant execute on function public.svc_question_keys(uuid) to service_role;
