-- No API role has rights on what is here; the services use the functions.

alter table private.practice_ability enable row level security;

create policy nobody on private.practice_ability for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.practice_ability is 'Closed on purpose: only functions of the database use it.';

alter table private.item_calibration enable row level security;

create policy nobody on private.item_calibration for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.item_calibration is 'Closed on purpose: only functions of the database use it.';

alter table private.calibration_log enable row level security;

create policy nobody on private.calibration_log for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.calibration_log is 'Closed on purpose: only functions of the database use it.';

grant execute on function public.svc_recenter_items() to service_role;
