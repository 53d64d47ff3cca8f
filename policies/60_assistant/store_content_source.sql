-- The chat service only.

grant execute on function public.svc_find_content_source(uuid, uuid, text) to service_role;

grant execute on function public.svc_store_content_source(
    uuid, uuid, uuid, text, text, text, jsonb
) to service_role;

grant execute on function public.svc_add_canvas_source(uuid, uuid, text, text, text, jsonb) to service_role;
