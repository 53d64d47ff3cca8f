-- Private: only the functions of the work on lectures read and write it.

alter table private.lecture_pieces enable row level security;

create policy nobody on private.lecture_pieces for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.lecture_pieces is
    'Closed on purpose: only the service''s definer functions use it.';
