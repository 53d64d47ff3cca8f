-- Private: only the lti service uses it, through svc functions.

alter table private.lti_line_items enable row level security;

create policy nobody on private.lti_line_items to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.lti_line_items is
    'Closed on purpose: only the service''s definer functions use it.';

alter table private.lti_scores enable row level security;

create policy nobody on private.lti_scores to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.lti_scores is 'Closed on purpose: only the service''s definer functions use it.';

grant execute on function public.svc_get_lti_launch(uuid, uuid) to service_role;

grant execute on function public.svc_queue_lti_score(uuid, uuid, uuid, jsonb, text, text, text, text) to service_role;

grant execute on function public.svc_take_lti_scores(uuid, uuid, int, int) to service_role;

grant execute on function public.svc_give_back_lti_line_item(uuid, uuid) to service_role;

grant execute on function public.svc_place_lti_line_item(uuid, uuid, text) to service_role;

grant execute on function public.svc_settle_lti_score(bigint, uuid, text, text) to service_role;
