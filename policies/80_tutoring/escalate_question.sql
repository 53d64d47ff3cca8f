-- The tutoring service only; a student asks it for their own question.

grant execute on function public.svc_escalate_question(uuid, uuid, text) to service_role;
