-- Grants and row level security of the room 30_headstart.
-- Touches: 30_headstart. Undo: drop what it creates, newest first; nothing in it destroys data.

set lock_timeout = '5s';

-- Own rows only, not even for staff. The service writes.

alter table public.headstart_runs enable row level security;

grant select on public.headstart_runs to authenticated;
grant all on public.headstart_runs to service_role;

create policy select_own on public.headstart_runs for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.headstart_runs is 'People see their own runs.';

-- Own rows only, not even for staff. The service writes; students may delete theirs.

alter table public.headstart_docs enable row level security;

grant select, delete on public.headstart_docs to authenticated;
grant all on public.headstart_docs to service_role;

create policy select_own on public.headstart_docs for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.headstart_docs is 'People read their own headstarts.';

create policy delete_own on public.headstart_docs for delete to authenticated
using (user_id = (select private.caller_id()));
comment on policy delete_own on public.headstart_docs is 'People delete their own headstarts.';

-- Private: only the two svc functions read and write it.

alter table private.generation_events enable row level security;

create policy nobody on private.generation_events to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.generation_events is
    'Closed on purpose: only the service''s definer functions use it.';

grant execute on function public.svc_append_generation(uuid, bigint, jsonb[]) to service_role;

grant execute on function public.svc_read_generation(uuid, bigint, int) to service_role;

-- The service only; it checked the caller.

grant execute on function public.svc_start_headstart_run(uuid, uuid, text, text) to service_role;

-- The worker only.

grant execute on function public.svc_finish_headstart_run(uuid, text, jsonb, text, jsonb) to service_role;

-- The service only; cancelling checks the owner itself.

grant execute on function public.svc_begin_headstart_run(uuid, text, text, text) to service_role;

grant execute on function public.svc_count_headstart_call(uuid, bigint) to service_role;

grant execute on function public.svc_end_headstart_run(uuid, bigint, text, jsonb, text, jsonb) to service_role;

grant execute on function public.svc_cancel_headstart_run(uuid, uuid) to service_role;
