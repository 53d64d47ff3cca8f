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
