-- Private: only the functions of the work on lectures read and write it.

alter table private.lecture_charges enable row level security;

create policy nobody on private.lecture_charges for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.lecture_charges is
    'Closed on purpose: only the service''s definer functions use it.';
