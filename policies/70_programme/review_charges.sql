-- Private: only the functions and triggers of reviews read and write it.

alter table private.review_charges enable row level security;

create policy nobody on private.review_charges for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.review_charges is
    'Closed on purpose: only the service''s definer functions use it.';
