-- No API role reaches the table; a trigger keeps it.

alter table private.job_keys enable row level security;

create policy nobody on private.job_keys for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.job_keys is 'Nobody reaches the keys by the API.';
