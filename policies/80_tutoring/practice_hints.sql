-- No API role has rights on what is here; the services use the functions.

alter table private.practice_hints enable row level security;

create policy nobody on private.practice_hints for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.practice_hints is 'Closed on purpose: only functions of the database use it.';

grant execute on function public.svc_store_hint(uuid, uuid, int, text) to service_role;

grant execute on function public.svc_get_hints(uuid, uuid) to service_role;
