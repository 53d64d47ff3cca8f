-- No API role reaches the tables; the queue's functions keep them.

alter table private.job_waiting enable row level security;
revoke all on private.job_waiting from public, anon, authenticated, app_admin, service_role;

create policy nobody on private.job_waiting for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.job_waiting is 'Nobody reaches the waiting line by the API.';

alter table private.job_caps enable row level security;
revoke all on private.job_caps from public, anon, authenticated, app_admin, service_role;

create policy nobody on private.job_caps for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.job_caps is 'Nobody reaches the caps by the API.';

alter table private.job_front enable row level security;
revoke all on private.job_front from public, anon, authenticated, app_admin, service_role;

create policy nobody on private.job_front for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.job_front is 'Nobody reaches it by the API.';
