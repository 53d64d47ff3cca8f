-- Private: only the functions of the work on reviews read and write it.

alter table private.review_parts enable row level security;

create policy nobody on private.review_parts for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.review_parts is 'Closed on purpose: only the service''s definer functions use it.';
