-- Grants and row level security of the room 90_platform.
-- Touches: 90_platform. Undo: drop what it creates, newest first; nothing in it destroys data.

set lock_timeout = '5s';

-- No API role has rights on the table; staff read it through admin_list_audit.

alter table private.audit_log enable row level security;

create policy nobody on private.audit_log for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.audit_log is 'Closed on purpose: nobody uses the audit log over the API.';

grant execute on function private.admin_list_audit(uuid, int) to app_admin;

grant execute on function public.admin_list_audit(uuid, int) to app_admin;

-- No API role has rights on the table; the sweeper uses the functions.

alter table private.storage_deletions enable row level security;

create policy nobody on private.storage_deletions for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.storage_deletions is 'Closed on purpose: nobody uses the outbox over the API.';

grant execute on function public.svc_claim_storage_deletions(int) to service_role;

grant execute on function public.svc_finish_storage_deletion(bigint, text) to service_role;

-- No API role has rights on the table; the services use the functions.

alter table private.idempotency_keys enable row level security;

create policy nobody on private.idempotency_keys for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.idempotency_keys is 'Closed on purpose: nobody uses kept answers over the API.';

grant execute on function public.svc_begin_idempotent(uuid, text, text, text) to service_role;

grant execute on function public.svc_finish_idempotent(uuid, text, text, int, jsonb) to service_role;

-- No API role has rights on the table; the services use the function.

alter table private.rate_buckets enable row level security;

create policy nobody on private.rate_buckets for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.rate_buckets is 'Closed on purpose: nobody uses the counters over the API.';

grant execute on function public.svc_take_rate(text, int, int) to service_role;

-- People follow their own work; staff follow all. Rows change through the queue's functions alone.

alter table public.jobs enable row level security;

grant select on public.jobs to authenticated;
grant all on public.jobs to service_role;

create policy select_own on public.jobs for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.jobs is 'The person the work is done for.';

create policy all_admin_of_now on public.jobs as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.jobs is 'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.jobs for select to app_admin
using (true);
comment on policy select_admin on public.jobs is 'Staff see what runs.';

-- No API role has rights on the table; workers use the queue's functions.

alter table private.job_runtime enable row level security;

create policy nobody on private.job_runtime for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.job_runtime is 'Closed on purpose: nobody uses inputs and leases over the API.';

-- No API role has rights on the table; the owner of the database keeps it.

alter table private.job_caps enable row level security;

create policy nobody on private.job_caps for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.job_caps is 'Closed on purpose: nobody uses the caps over the API.';

-- The service only.

grant execute on function public.svc_enqueue_job(text, jsonb, uuid, uuid, text, text, int, timestamptz, int, int, text)
to service_role;

-- No API role has rights on the table; claims and svc_pause_provider use it.

alter table private.provider_buckets enable row level security;

create policy nobody on private.provider_buckets for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.provider_buckets is 'Closed on purpose: nobody uses the buckets over the API.';

grant execute on function public.svc_pause_provider(text, numeric) to service_role;

-- Workers only.

grant execute on function public.svc_claim_jobs(text, text[], int, int, uuid) to service_role;
grant execute on function public.svc_heartbeat_jobs(jsonb, int) to service_role;

-- Workers only.

grant execute on function public.svc_complete_jobs(jsonb) to service_role;
grant execute on function public.svc_fail_job(uuid, uuid, text, text, boolean, int, text) to service_role;
grant execute on function public.svc_release_jobs(jsonb) to service_role;

-- Workers only.

grant execute on function public.svc_reap_expired_jobs(int) to service_role;
grant execute on function public.svc_count_waiting_jobs() to service_role;

-- No API role has rights on the table; schedules are written by migrations.

alter table private.job_schedules enable row level security;

create policy nobody on private.job_schedules for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.job_schedules is 'Closed on purpose: nobody uses the schedules over the API.';

grant execute on function public.svc_tick_schedules() to service_role;

-- Owners cancel and retry.

grant execute on function private.cancel_job(uuid) to authenticated;

grant execute on function public.cancel_job(uuid) to authenticated;

grant execute on function private.retry_job(uuid) to authenticated;

grant execute on function public.retry_job(uuid) to authenticated;

-- Everybody sees the agents in use; staff see all and write them.

alter table public.agents enable row level security;

grant select on public.agents to authenticated;
grant insert (id, type, name, description, is_active, version) on public.agents to app_admin;
grant update on public.agents to app_admin;
grant delete on public.agents to app_admin;
grant all on public.agents to service_role;

create policy select_active on public.agents for select to authenticated
using (is_active and (select private.caller_id()) is not null);
comment on policy select_active on public.agents is 'Everybody sees the agents in use.';

create policy all_admin_of_now on public.agents as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.agents is 'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.agents for select to app_admin
using (true);
comment on policy select_admin on public.agents is 'Staff see every agent.';

create policy insert_admin on public.agents for insert to app_admin
with check (true);
comment on policy insert_admin on public.agents is 'Staff add agents.';

create policy update_admin on public.agents for update to app_admin
using (true)
with check (true);
comment on policy update_admin on public.agents is 'Staff change agents.';

create policy delete_admin on public.agents for delete to app_admin
using (true);
comment on policy delete_admin on public.agents is 'Staff delete agents.';

-- Staff only.

alter table public.agent_configs enable row level security;

grant select on public.agent_configs to app_admin;
grant insert (agent_id, config) on public.agent_configs to app_admin;
grant update on public.agent_configs to app_admin;
grant delete on public.agent_configs to app_admin;
grant all on public.agent_configs to service_role;

create policy all_admin_of_now on public.agent_configs as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.agent_configs is
    'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.agent_configs for select to app_admin
using (true);
comment on policy select_admin on public.agent_configs is 'Staff read prompts and settings.';

create policy insert_admin on public.agent_configs for insert to app_admin
with check (true);
comment on policy insert_admin on public.agent_configs is 'Staff write prompts and settings.';

create policy update_admin on public.agent_configs for update to app_admin
using (true)
with check (true);
comment on policy update_admin on public.agent_configs is 'Staff change prompts and settings.';

create policy delete_admin on public.agent_configs for delete to app_admin
using (true);
comment on policy delete_admin on public.agent_configs is 'Staff delete prompts and settings.';

-- Read by the owner of the dialogue, job or week; written by the service.

alter table public.agent_assignments enable row level security;

grant select on public.agent_assignments to authenticated;
grant all on public.agent_assignments to service_role;

create policy select_own on public.agent_assignments for select to authenticated
using (id = any((select private.my_agent_assignments())::uuid[]));
comment on policy select_own on public.agent_assignments is 'The owner of the dialogue, job or week.';

create policy all_admin_of_now on public.agent_assignments as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.agent_assignments is
    'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.agent_assignments for select to app_admin
using (true);
comment on policy select_admin on public.agent_assignments is 'Staff see all work of agents.';

grant execute on function private.my_agent_assignments() to authenticated;

-- The daily schedule only.

grant execute on function public.svc_purge_expired() to service_role;

-- Every table that clients may read refuses to be explained. This is the last file, so the loop finds all tables; the
-- migration of a later table creates the same policy by name, which a guard demands.

grant usage on schema hooks to anon, authenticated, app_admin, service_role;
grant execute on function hooks.before_request() to anon, authenticated, app_admin, service_role;
grant execute on function private.not_explained() to anon, authenticated;

do $$
declare
    v_table regclass;
begin
    for v_table in
        select oid from pg_catalog.pg_class
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
            and (has_table_privilege('anon', oid, 'select') or has_table_privilege('app_admin', oid, 'select'))
    loop
        execute format(
            'create policy select_not_explained on %s as restrictive for select to anon, authenticated '
            'using (private.not_explained())', v_table
        );
        execute format(
            'comment on policy select_not_explained on %s is %L', v_table,
            'Estimates of row counts depend on rows of others, so REST sessions get none.'
        );
    end loop;
end
$$;

-- a setting of the role, so that hosted projects and the native stack read the same
alter role authenticator set "pgrst.db_pre_request" = 'hooks.before_request';
notify pgrst, 'reload config';
