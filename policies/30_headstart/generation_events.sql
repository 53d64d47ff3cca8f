-- Private: only the svc functions read and write it.

alter table private.generation_events enable row level security;

create policy nobody on private.generation_events to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.generation_events is
    'Closed on purpose: only the service''s definer functions use it.';

grant execute on function public.svc_append_generation(uuid, bigint, jsonb[]) to service_role;

grant execute on function public.svc_read_generation(uuid, bigint, int) to service_role;

grant execute on function public.svc_read_generations(jsonb) to service_role;
