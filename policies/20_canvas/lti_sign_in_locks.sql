-- Private: only the lti service uses it, through svc functions.

alter table private.lti_sign_in_locks enable row level security;

create policy nobody on private.lti_sign_in_locks to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.lti_sign_in_locks is
    'Closed on purpose: only the service''s definer functions use it.';

grant execute on function public.svc_lock_lti_user(uuid, uuid, int) to service_role;

grant execute on function public.svc_unlock_lti_user(uuid, uuid) to service_role;
