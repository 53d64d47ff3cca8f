-- Owners cancel and retry; the rest belongs to the service.

grant execute on function private.cancel_job(uuid) to authenticated;

grant execute on function public.cancel_job(uuid) to authenticated;

grant execute on function private.retry_job(uuid) to authenticated;

grant execute on function public.retry_job(uuid) to authenticated;

grant execute on function public.svc_pause_provider(text, numeric) to service_role;

grant execute on function public.svc_tick_schedules() to service_role;
