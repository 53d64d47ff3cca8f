-- No API role has rights on what is here; the services use the functions.

alter table private.activity_days enable row level security;

create policy nobody on private.activity_days for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.activity_days is 'Closed on purpose: only functions of the database use it.';

alter table private.streak_freezes enable row level security;

create policy nobody on private.streak_freezes for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.streak_freezes is 'Closed on purpose: only functions of the database use it.';
