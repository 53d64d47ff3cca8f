-- The service replays reviews.

grant execute on function public.svc_get_item_answers(uuid) to service_role;

grant execute on function public.svc_replace_review(uuid, uuid, bigint, jsonb, int, int) to service_role;
