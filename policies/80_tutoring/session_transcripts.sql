-- No API role reaches the table; the service reads and writes through functions that audit.

alter table private.session_transcripts enable row level security;
revoke all on private.session_transcripts from public, anon, authenticated, app_admin, service_role;

create policy nobody on private.session_transcripts for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.session_transcripts is 'Nobody reaches transcripts by the API.';

revoke all on function private.mark_transcript() from public, anon, authenticated, app_admin, service_role;

revoke all on function public.svc_put_transcript(uuid, text, text)
from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_put_transcript(uuid, text, text) to service_role;

revoke all on function public.svc_get_transcript(uuid) from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_get_transcript(uuid) to service_role;
