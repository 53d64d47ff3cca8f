-- No API role has rights on the table. rate_answer is called by signed-in people and checks that they are the right
-- tutor.

alter table private.qa_verdicts enable row level security;

create policy nobody on private.qa_verdicts for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.qa_verdicts is 'Closed on purpose: only functions of the database use it.';

grant execute on function private.rate_answer(uuid, boolean, boolean) to authenticated;

grant execute on function public.rate_answer(uuid, boolean, boolean) to authenticated;
