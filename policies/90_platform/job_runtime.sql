-- No API role has rights on the table; workers use the queue's functions.

alter table private.job_runtime enable row level security;

create policy nobody on private.job_runtime for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.job_runtime is 'Closed on purpose: nobody uses inputs and leases over the API.';
