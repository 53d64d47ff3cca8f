-- No API role has rights on the table; the owner of the database keeps it.

alter table private.job_caps enable row level security;

create policy nobody on private.job_caps for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.job_caps is 'Closed on purpose: nobody uses the caps over the API.';
