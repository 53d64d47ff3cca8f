-- No API role has rights on what is here; the services use the functions.

alter table private.practice_submissions enable row level security;

create policy nobody on private.practice_submissions for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.practice_submissions is 'Closed on purpose: only functions of the database use it.';
