-- The tutoring service and its worker only.

alter table private.practice_generations enable row level security;

create policy nobody on private.practice_generations for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.practice_generations is
    'Closed on purpose: only the service''s definer functions use it.';

grant execute on function public.svc_begin_practice_generation(
    uuid, uuid, uuid, int, text[], uuid[], int, text
) to service_role;

grant execute on function public.svc_load_practice_generation(uuid, int) to service_role;

grant execute on function public.svc_store_practice_items(uuid, jsonb, jsonb) to service_role;

grant execute on function public.svc_fail_practice_generation(uuid, text) to service_role;
