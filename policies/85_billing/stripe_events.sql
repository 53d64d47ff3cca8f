-- The billing service and its worker only.

revoke all on function private.stripe_time(jsonb) from public, anon, authenticated, app_admin, service_role;

revoke all on function private.stripe_id(jsonb) from public, anon, authenticated, app_admin, service_role;

revoke all on function private.known_person(text) from public, anon, authenticated, app_admin, service_role;

revoke all on function private.apply_stripe_subscription(public.payment_events)
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.apply_stripe_invoice(public.payment_events)
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.apply_stripe_checkout(public.payment_events)
from public, anon, authenticated, app_admin, service_role;

revoke all on function public.svc_record_payment_event(text, text, jsonb, timestamptz, boolean, text)
from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_record_payment_event(text, text, jsonb, timestamptz, boolean, text)
to service_role;

revoke all on function public.svc_apply_stripe_event(text) from public, anon, authenticated, app_admin, service_role;
grant execute on function public.svc_apply_stripe_event(text) to service_role;
