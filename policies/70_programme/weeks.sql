-- Learners write their own programme.

alter table public.weeks enable row level security;

grant select on public.weeks to authenticated;
grant insert (
    id, user_id, week_number, start_date, end_date, status, focus_area, course_id, estimated_hours, actual_hours
) on public.weeks to authenticated;
grant update on public.weeks to authenticated;
grant delete on public.weeks to authenticated;
grant all on public.weeks to service_role;

create policy select_own on public.weeks for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.weeks is 'Learners see their own weeks.';

create policy insert_own on public.weeks for insert to authenticated
with check (user_id = (select private.caller_id()));
comment on policy insert_own on public.weeks is
    'Learners plan their own weeks; the foreign key admits only their own courses.';

create policy update_own on public.weeks for update to authenticated
using (user_id = (select private.caller_id()))
with check (user_id = (select private.caller_id()));
comment on policy update_own on public.weeks is 'Learners change their own weeks.';

create policy delete_own on public.weeks for delete to authenticated
using (user_id = (select private.caller_id()));
comment on policy delete_own on public.weeks is 'Learners delete their own weeks, with everything below them.';
