-- No API role reaches the table; the service reads and writes through functions that audit.

alter table private.session_transcripts enable row level security;

create policy nobody on private.session_transcripts for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.session_transcripts is 'Nobody reaches transcripts by the API.';

grant execute on function public.svc_put_transcript(uuid, text, text) to service_role;

grant execute on function public.svc_get_transcript(uuid) to service_role;
