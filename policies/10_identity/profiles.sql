-- People see themselves and the people related to them; staff see all. Rows come and go with the account, so no client
-- inserts or deletes. The role is not among the columns a person may update.

alter table public.profiles enable row level security;

grant select, update on public.profiles to authenticated;
grant all on public.profiles to service_role;
-- the access token hook looks the role up
grant select on public.profiles to supabase_auth_admin;

-- the own row first: for it the list of related people is never computed
create policy select_related on public.profiles for select to authenticated
using (
    user_id = (select private.caller_id())
    or user_id = any((select private.related_people())::uuid[])
);
comment on policy select_related on public.profiles is
    'Their own profile; a tutor''s students; a student''s tutors and guardians; a parent''s children with consent, '
    'and their tutors.';

create policy all_admin_of_now on public.profiles as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.profiles is 'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.profiles for select to app_admin
using (true);
comment on policy select_admin on public.profiles is 'Staff see every profile.';

create policy select_auth on public.profiles for select to supabase_auth_admin
using (true);
comment on policy select_auth on public.profiles is 'Auth reads the role when it issues a token.';

create policy update_own on public.profiles for update to authenticated
using (user_id = (select private.caller_id()))
with check (user_id = (select private.caller_id()));
comment on policy update_own on public.profiles is 'People edit their own name, picture and time zone.';
