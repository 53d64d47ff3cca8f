-- The service only. Writes count under the lease of a job. svc_retry_review asks whose review it is.

grant execute on function public.svc_begin_review(uuid, uuid, uuid) to service_role;

grant execute on function public.svc_note_review_commit(uuid, uuid, uuid, text) to service_role;

grant execute on function public.svc_list_review_parts(uuid) to service_role;

grant execute on function public.svc_store_review_part(uuid, uuid, uuid, text, jsonb) to service_role;

grant execute on function public.svc_finish_review(uuid, uuid, uuid, jsonb, jsonb, jsonb) to service_role;

grant execute on function public.svc_fail_review(uuid, uuid, uuid, text) to service_role;

grant execute on function public.svc_retry_review(uuid, uuid) to service_role;
