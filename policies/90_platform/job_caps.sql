-- No API role reaches the table; the owner of the database keeps it.

alter table private.job_caps enable row level security;

create policy nobody on private.job_caps for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.job_caps is 'Nobody reaches the caps by the API.';
