-- No API role has rights on what is here; the services use the functions.

alter table private.confidence_calibrators enable row level security;

create policy nobody on private.confidence_calibrators for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.confidence_calibrators is
    'Closed on purpose: only functions of the database use it.';

grant execute on function public.svc_get_calibrator(uuid, text) to service_role;
