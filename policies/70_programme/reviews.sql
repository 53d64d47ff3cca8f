-- Learners ask for reviews and may delete them; the service writes state and result.

alter table public.reviews enable row level security;

grant select on public.reviews to authenticated;
grant insert (id, user_id, github_url, depth, week_id) on public.reviews to authenticated;
grant delete on public.reviews to authenticated;
grant all on public.reviews to service_role;

create policy select_own on public.reviews for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.reviews is 'Learners see their own reviews.';

create policy insert_own on public.reviews for insert to authenticated
with check (user_id = (select private.caller_id()));
comment on policy insert_own on public.reviews is 'Learners ask for a review of a repository.';

create policy delete_own on public.reviews for delete to authenticated
using (user_id = (select private.caller_id()));
comment on policy delete_own on public.reviews is 'Learners delete their reviews.';
