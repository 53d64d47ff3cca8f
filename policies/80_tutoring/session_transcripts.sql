-- No API role has rights on the table; the service reads and writes it through functions that audit.

alter table private.session_transcripts enable row level security;

create policy nobody on private.session_transcripts for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.session_transcripts is 'Closed on purpose: nobody uses transcripts over the API.';

grant execute on function public.svc_put_transcript(uuid, text, text) to service_role;

grant execute on function public.svc_get_transcript(uuid, uuid) to service_role;
