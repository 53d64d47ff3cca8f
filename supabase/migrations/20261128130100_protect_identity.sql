-- Grants and row level security of the room 10_identity.
-- Touches: 10_identity. Undo: drop what it creates, newest first; nothing in it destroys data.

set lock_timeout = '5s';

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

-- Own row only, not even for staff. Made at sign-up, gone with the account.

alter table public.user_settings enable row level security;

grant select, update on public.user_settings to authenticated;
grant all on public.user_settings to service_role;

create policy select_own on public.user_settings for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.user_settings is 'People read their own settings.';

create policy update_own on public.user_settings for update to authenticated
using (user_id = (select private.caller_id()))
with check (user_id = (select private.caller_id()));
comment on policy update_own on public.user_settings is 'People change their own settings.';

-- Read by the person, by parents with consent, by tutors of all subjects and by staff. Nobody writes by REST.

alter table public.user_stats enable row level security;

grant select on public.user_stats to authenticated;
grant all on public.user_stats to service_role;

create policy select_related on public.user_stats for select to authenticated
using (
    user_id = any((select private.visible_students())::uuid[])
    and user_id not in (select private.partly_tutored_students())
);
comment on policy select_related on public.user_stats is
    'Own figures; those of children with consent; those of students tutored in all subjects.';

create policy all_admin_of_now on public.user_stats as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.user_stats is 'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.user_stats for select to app_admin
using (true);
comment on policy select_admin on public.user_stats is 'Staff see all figures.';

-- Both sides see it; they change it by RPC (respond_guardianship, revoke_guardianship). Staff proposes, verifies,
-- deletes.

alter table public.guardianships enable row level security;

grant select on public.guardianships to authenticated;
grant select, insert, update, delete on public.guardianships to app_admin;
grant all on public.guardianships to service_role;

create policy select_own on public.guardianships for select to authenticated
using (parent_id = (select private.caller_id()) or student_id = (select private.caller_id()));
comment on policy select_own on public.guardianships is 'The parent and the student see it, whatever its state.';

create policy all_admin_of_now on public.guardianships as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.guardianships is
    'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.guardianships for select to app_admin
using (true);
comment on policy select_admin on public.guardianships is 'Staff see all.';

create policy insert_admin on public.guardianships for insert to app_admin
with check (true);
comment on policy insert_admin on public.guardianships is 'Staff propose; a new one is always pending.';

create policy update_admin on public.guardianships for update to app_admin
using (true)
with check (true);
comment on policy update_admin on public.guardianships is 'Staff record a verified minor, or end it; audited.';

create policy delete_admin on public.guardianships for delete to app_admin
using (true);
comment on policy delete_admin on public.guardianships is 'Staff delete one made by mistake; audited.';

-- Private: only the two svc functions use it.

alter table private.external_identities enable row level security;

create policy nobody on private.external_identities to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.external_identities is
    'Closed on purpose: only the service''s definer functions use it.';

grant execute on function public.svc_link_external_identity(uuid, text, text, text) to service_role;

grant execute on function public.svc_find_external_identity(text, text, text) to service_role;

-- Policies run these with the rights of the person who asks, who therefore needs EXECUTE. Nobody but the owner has
-- usage on `private`, so they cannot be called by name.

grant execute on function private.is_admin() to app_admin;
grant execute on function private.guarded_students() to authenticated;
grant execute on function private.related_people() to authenticated;

-- Any signed-in person, about themselves. The bound body of the public function calls the private one.

grant execute on function private.ensure_profile() to authenticated;
grant execute on function public.ensure_profile() to authenticated;

-- Any signed-in person, about themselves.

grant execute on function private.touch_last_active() to authenticated;
grant execute on function public.touch_last_active() to authenticated;

-- Any signed-in person; the functions check that the caller is the student, or one of the two.

grant execute on function private.respond_guardianship(uuid, boolean) to authenticated;
grant execute on function public.respond_guardianship(uuid, boolean) to authenticated;

grant execute on function private.revoke_guardianship(uuid) to authenticated;
grant execute on function public.revoke_guardianship(uuid) to authenticated;

-- Staff only: the grant keeps others out, the function asks whether the caller is still one.

grant execute on function private.admin_set_role(uuid, text) to app_admin;
grant execute on function public.admin_set_role(uuid, text) to app_admin;

-- Auth alone runs the hook.

grant execute on function private.custom_access_token(jsonb) to supabase_auth_admin;
