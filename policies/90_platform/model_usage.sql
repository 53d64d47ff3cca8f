-- No API role has rights on the table; the services use the functions.

alter table private.model_usage enable row level security;

create policy nobody on private.model_usage for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.model_usage is 'Closed on purpose: nobody uses the usage over the API.';

grant execute on function public.svc_record_model_usage(
    uuid, uuid, text, text, bigint, int, int, int, numeric, numeric, boolean
) to service_role;

grant execute on function public.svc_sum_model_usage(uuid, text) to service_role;
