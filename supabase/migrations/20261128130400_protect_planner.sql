-- Grants and row level security of the room 40_planner.
-- Touches: 40_planner. Undo: drop what it creates, newest first; nothing in it destroys data.

set lock_timeout = '5s';

-- Own rows only, not even for staff. Calendar columns are the service's.

alter table public.study_blocks enable row level security;

grant select, delete, insert (id, user_id, assignment_id, start_at, end_at, notes),
update on public.study_blocks to authenticated;
grant all on public.study_blocks to service_role;

create policy select_own on public.study_blocks for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.study_blocks is 'People see their own plan.';

create policy insert_own on public.study_blocks for insert to authenticated
with check (user_id = (select private.caller_id()));
comment on policy insert_own on public.study_blocks is
    'People plan their own time; the foreign key admits only their own assignments.';

create policy update_own on public.study_blocks for update to authenticated
using (user_id = (select private.caller_id()))
with check (user_id = (select private.caller_id()));
comment on policy update_own on public.study_blocks is 'People change their own plan.';

create policy delete_own on public.study_blocks for delete to authenticated
using (user_id = (select private.caller_id()));
comment on policy delete_own on public.study_blocks is 'People delete their own blocks.';

-- Own rows only. The service writes; the person records opening and clicking by mark_nudge.

alter table public.nudges enable row level security;

grant select on public.nudges to authenticated;
grant all on public.nudges to service_role;

create policy select_own on public.nudges for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.nudges is 'People see their own nudges.';

-- Own inbox only. The services write; the person may only dismiss a line.

alter table public.notifications enable row level security;

grant select, update on public.notifications to authenticated;
grant all on public.notifications to service_role;

create policy select_own on public.notifications for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.notifications is 'People read their own inbox.';

create policy update_own on public.notifications for update to authenticated
using (user_id = (select private.caller_id()))
with check (user_id = (select private.caller_id()) and status = 'dismissed');
comment on policy update_own on public.notifications is 'People dismiss a line; they can set no other status.';

-- The service only.

grant execute on function public.svc_create_nudge(uuid, text, text, text, text, text[]) to service_role;

grant execute on function public.svc_mark_nudge_sent(uuid) to service_role;

-- Any signed-in person, about their own nudges. The bound body of the public function calls the private one.

grant execute on function private.mark_nudge(uuid, text) to authenticated;
grant execute on function public.mark_nudge(uuid, text) to authenticated;
