-- No API role has rights on the table; the trigger of invoices writes it.

alter table private.billing_archive enable row level security;

create policy nobody on private.billing_archive for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.billing_archive is 'Closed on purpose: nobody uses it over the API.';
