-- Private: only the lti service uses it, through svc functions.

alter table private.lti_rosters enable row level security;

create policy nobody on private.lti_rosters to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.lti_rosters is 'Closed on purpose: only the service''s definer functions use it.';

grant execute on function public.svc_queue_lti_roster(uuid, uuid, text) to service_role;

grant execute on function public.svc_begin_lti_roster(uuid, text, uuid, uuid, uuid, int, boolean) to service_role;

grant execute on function public.svc_apply_lti_roster(uuid, text, uuid, jsonb, text, int) to service_role;

grant execute on function public.svc_give_back_lti_roster(uuid, text, uuid) to service_role;
