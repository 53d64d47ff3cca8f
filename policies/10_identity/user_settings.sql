-- Own row only, not even for staff. Made at sign-up, gone with the account.

alter table public.user_settings enable row level security;

revoke all on public.user_settings from public, anon, authenticated, app_admin, service_role;
grant
select,
update (
    preferences, voice_preference, learning_preferences, learning_style, nudge_frequency_cap, disclaimer_shown
)
on public.user_settings to authenticated;
grant all on public.user_settings to service_role;

create policy all_not_anonymous on public.user_settings as restrictive to authenticated
using ((select auth.jwt()) ->> 'is_anonymous' is distinct from 'true')
with check ((select auth.jwt()) ->> 'is_anonymous' is distinct from 'true');
comment on policy all_not_anonymous on public.user_settings is 'Anonymous sign-ins get nothing.';

create policy select_own on public.user_settings for select to authenticated
using (user_id = (select auth.uid()));
comment on policy select_own on public.user_settings is 'A person reads his own settings.';

create policy update_own on public.user_settings for update to authenticated
using (user_id = (select auth.uid()))
with check (user_id = (select auth.uid()));
comment on policy update_own on public.user_settings is 'A person changes his own settings.';

revoke all on function private.keep_disclaimer_shown() from public, anon, authenticated, app_admin, service_role;
