-- Owners cancel and retry.

grant execute on function private.cancel_job(uuid) to authenticated;

grant execute on function public.cancel_job(uuid) to authenticated;

grant execute on function private.retry_job(uuid) to authenticated;

grant execute on function public.retry_job(uuid) to authenticated;
