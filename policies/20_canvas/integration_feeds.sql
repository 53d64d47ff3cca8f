-- Private: only the functions below use it.

alter table private.integration_feeds enable row level security;

create policy nobody on private.integration_feeds to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.integration_feeds is
    'Closed on purpose: only the service''s definer functions use it.';

grant execute on function public.svc_put_feed(uuid, uuid, text, text, text) to service_role;

grant execute on function public.svc_get_feed(uuid) to service_role;

grant execute on function public.svc_apply_feed(uuid, jsonb, jsonb, timestamptz, text, text) to service_role;
