-- The billing service and its worker only.

grant execute on function public.svc_record_payment_event(text, text, jsonb, timestamptz, boolean, text)
to service_role;

grant execute on function public.svc_apply_stripe_event(text) to service_role;
