-- No API role reaches the table; workers use the queue's functions.

alter table private.job_runtime enable row level security;

create policy nobody on private.job_runtime for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.job_runtime is 'Nobody reaches inputs and leases by the API.';
