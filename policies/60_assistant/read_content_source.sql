-- Teachers read their own material again.

grant execute on function private.retry_content_source(uuid) to authenticated;

grant execute on function public.retry_content_source(uuid) to authenticated;
