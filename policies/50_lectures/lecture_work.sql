-- The service only. Writes count under the lease of a job. svc_retry_lecture asks whether the person follows the
-- lecture.

grant execute on function public.svc_begin_lecture(uuid, uuid, uuid) to service_role;

grant execute on function public.svc_note_lecture_progress(uuid, uuid, uuid, text, bigint, bigint) to service_role;

grant execute on function public.svc_store_lecture_audio(uuid, uuid, uuid, text, int, text) to service_role;

grant execute on function public.svc_list_lecture_pieces(uuid, text) to service_role;

grant execute on function public.svc_store_lecture_piece(uuid, uuid, uuid, int, int, text, jsonb) to service_role;

grant execute on function public.svc_store_lecture_transcript(uuid, uuid, uuid, text, text, text) to service_role;

grant execute on function public.svc_end_lecture(uuid, uuid, uuid, text, text, text) to service_role;

grant execute on function public.svc_retry_lecture(uuid, uuid) to service_role;
