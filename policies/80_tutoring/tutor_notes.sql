-- No API role has rights on the table; the service acts for the author through functions that audit.

alter table private.tutor_notes enable row level security;

create policy nobody on private.tutor_notes for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.tutor_notes is 'Closed on purpose: nobody uses tutor notes over the API.';

grant execute on function public.svc_put_tutor_note(uuid, uuid, text, uuid, uuid, uuid) to service_role;

grant execute on function public.svc_list_tutor_notes(uuid, uuid) to service_role;

grant execute on function public.svc_delete_tutor_note(uuid, uuid) to service_role;
