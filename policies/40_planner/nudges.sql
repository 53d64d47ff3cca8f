-- Own rows only. The service writes; the person records opening and clicking by mark_nudge.

alter table public.nudges enable row level security;

grant select on public.nudges to authenticated;
grant all on public.nudges to service_role;

create policy select_own on public.nudges for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.nudges is 'People see their own nudges.';
