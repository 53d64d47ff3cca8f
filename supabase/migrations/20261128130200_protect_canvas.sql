-- Grants and row level security of the room 20_canvas.
-- Touches: 20_canvas. Undo: drop what it creates, newest first; nothing in it destroys data.

set lock_timeout = '5s';

-- People see the installations they can connect to; staff write the list. Nobody deletes over REST, because grants
-- refer to the rows.

alter table public.lms_connections enable row level security;

grant select on public.lms_connections to authenticated;
grant insert, update on public.lms_connections to app_admin;
grant all on public.lms_connections to service_role;

create policy select_active on public.lms_connections for select to authenticated
using (status = 'active' and (select private.caller_id()) is not null);
comment on policy select_active on public.lms_connections is 'Every signed-in person sees the active installations.';

create policy all_admin_of_now on public.lms_connections as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.lms_connections is
    'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.lms_connections for select to app_admin
using (true);
comment on policy select_admin on public.lms_connections is 'Staff see disabled ones, too.';

create policy insert_admin on public.lms_connections for insert to app_admin
with check (true);
comment on policy insert_admin on public.lms_connections is 'Staff register installations.';

create policy update_admin on public.lms_connections for update to app_admin
using (true)
with check (true);
comment on policy update_admin on public.lms_connections is 'Staff edit or disable installations.';

-- Private: only svc_put_lms_secret and svc_get_lms_secret use it.

alter table private.lms_connection_secrets enable row level security;

create policy nobody on private.lms_connection_secrets to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.lms_connection_secrets is
    'Closed on purpose: only the service''s definer functions use it.';

grant execute on function public.svc_put_lms_secret(uuid, text) to service_role;

grant execute on function public.svc_get_lms_secret(uuid) to service_role;

-- People see their own connections; canvas-oauth and canvas-sync write them.

alter table public.integrations enable row level security;

grant select on public.integrations to authenticated;
grant all on public.integrations to service_role;

create policy select_own on public.integrations for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.integrations is 'People see their own connections.';

-- Private: only the svc functions below use it.

alter table private.integration_tokens enable row level security;

create policy nobody on private.integration_tokens to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.integration_tokens is
    'Closed on purpose: only the service''s definer functions use it.';

grant execute on function public.svc_put_integration_token(uuid, text, text, timestamptz, int) to service_role;

grant execute on function public.svc_get_integration_token(uuid, boolean) to service_role;

grant execute on function public.svc_delete_integration_token(uuid) to service_role;

grant execute on function public.svc_begin_token_refresh(uuid, text, int) to service_role;

grant execute on function public.svc_end_token_refresh(uuid, text) to service_role;

-- Private: only the svc functions below use it.

alter table private.oauth_states enable row level security;

create policy nobody on private.oauth_states to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.oauth_states is 'Closed on purpose: only the service''s definer functions use it.';

grant execute on function public.svc_create_oauth_state(text, uuid, uuid, text, text) to service_role;

grant execute on function public.svc_peek_oauth_state(text) to service_role;

grant execute on function public.svc_consume_oauth_state(text, uuid) to service_role;

-- Own rows only, not even for staff. Sync writes; the person may only switch a course on and off.

alter table public.courses enable row level security;

grant select, update on public.courses to authenticated;
grant all on public.courses to service_role;

create policy select_own on public.courses for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.courses is 'People see their own courses.';

create policy update_own on public.courses for update to authenticated
using (user_id = (select private.caller_id()))
with check (user_id = (select private.caller_id()));
comment on policy update_own on public.courses is 'People switch their own courses on and off.';

-- Own rows only, not even for staff; teachers see no student's row. Sync writes.

alter table public.assignments enable row level security;

grant select on public.assignments to authenticated;
grant all on public.assignments to service_role;

create policy select_own on public.assignments for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.assignments is 'People see their own assignments.';

-- Own rows only. Sync writes.

alter table public.course_sync_state enable row level security;

grant select on public.course_sync_state to authenticated;
grant all on public.course_sync_state to service_role;

create policy select_own on public.course_sync_state for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.course_sync_state is 'People see how far the sync of their courses has come.';

-- Private: only the lti service uses it, through svc functions.

alter table private.lti_platforms enable row level security;

create policy nobody on private.lti_platforms to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.lti_platforms is 'Closed on purpose: only the service''s definer functions use it.';

-- Private: only the lti service uses it, through svc functions.

alter table private.lti_registrations enable row level security;

create policy nobody on private.lti_registrations to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.lti_registrations is
    'Closed on purpose: only the service''s definer functions use it.';

-- Private: only the lti service uses it, through svc functions.

alter table private.lti_deployments enable row level security;

create policy nobody on private.lti_deployments to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.lti_deployments is
    'Closed on purpose: only the service''s definer functions use it.';

-- Private: only the lti service uses it, through svc functions.

alter table private.lti_identities enable row level security;

create policy nobody on private.lti_identities to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.lti_identities is
    'Closed on purpose: only the service''s definer functions use it.';

-- Private: only the lti service uses it, through svc functions.

alter table private.lti_memberships enable row level security;

create policy nobody on private.lti_memberships to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.lti_memberships is
    'Closed on purpose: only the service''s definer functions use it.';

-- Private: only the lti service uses it, through svc functions.

alter table private.lti_states enable row level security;

create policy nobody on private.lti_states to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.lti_states is 'Closed on purpose: only the service''s definer functions use it.';

-- Private: only the lti service uses it, through svc functions.

alter table private.lti_launches enable row level security;

create policy nobody on private.lti_launches to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.lti_launches is 'Closed on purpose: only the service''s definer functions use it.';

-- Private: only the lti service uses it, through svc functions.

alter table private.lti_tickets enable row level security;

create policy nobody on private.lti_tickets to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.lti_tickets is 'Closed on purpose: only the service''s definer functions use it.';

-- Private: only the lti service uses it, through svc functions.

alter table private.lti_signing_keys enable row level security;

create policy nobody on private.lti_signing_keys to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.lti_signing_keys is
    'Closed on purpose: only the service''s definer functions use it.';

-- Only the service writes the registry.

grant execute on function public.svc_register_lti_platform(text, text, text, text, text) to service_role;

grant execute on function public.svc_register_lti_client(uuid, text) to service_role;

grant execute on function public.svc_register_lti_deployment(uuid, text, uuid) to service_role;

grant execute on function public.svc_set_lti_status(text, uuid, text) to service_role;

-- For the service alone: it checks ownership before it calls.

grant execute on function public.svc_connect_integration(uuid, uuid, uuid, text, text[], text, text, timestamptz)
to service_role;

grant execute on function public.svc_disconnect_integration(uuid)
to service_role;

grant execute on function public.svc_expire_integration(uuid)
to service_role;

grant execute on function public.svc_apply_courses(uuid, jsonb)
to service_role;

grant execute on function public.svc_missing_courses(uuid, bigint[])
to service_role;

grant execute on function public.svc_mark_course(uuid, text, boolean)
to service_role;

grant execute on function public.svc_apply_assignments(uuid, jsonb, jsonb)
to service_role;

grant execute on function public.svc_missing_assignments(uuid, bigint[])
to service_role;

grant execute on function public.svc_finish_assignments(uuid, bigint[], jsonb)
to service_role;
