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
