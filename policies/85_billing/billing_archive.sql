-- No API role reaches the table; it is written by the trigger of invoices.

alter table private.billing_archive enable row level security;

create policy nobody on private.billing_archive for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.billing_archive is 'Nobody reaches the archive by the API.';
