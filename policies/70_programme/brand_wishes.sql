-- No API role has rights on what is here; the services use the functions.

alter table private.brand_wishes enable row level security;

create policy nobody on private.brand_wishes for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.brand_wishes is 'Closed on purpose: only the service''s definer functions use it.';
