-- The chat service and its worker only.

grant execute on function public.svc_begin_generated_content(
    uuid, text, text, text, uuid, uuid[], uuid, boolean
) to service_role;

grant execute on function public.svc_finish_generated_content(
    uuid, jsonb, text, jsonb, jsonb, text, text, text
) to service_role;

grant execute on function public.svc_render_content(uuid, uuid, boolean) to service_role;
