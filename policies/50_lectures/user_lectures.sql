-- Own links only. Only the service makes one, because a link is the right to see the lecture.

alter table public.user_lectures enable row level security;

grant select, delete on public.user_lectures to authenticated;
grant all on public.user_lectures to service_role;

create policy select_own on public.user_lectures for select to authenticated
using (user_id = (select private.caller_id()));
comment on policy select_own on public.user_lectures is 'People see their own links.';

create policy delete_own on public.user_lectures for delete to authenticated
using (user_id = (select private.caller_id()));
comment on policy delete_own on public.user_lectures is
    'People stop following; deleting the last link deletes the lecture.';

grant execute on function private.my_lectures() to authenticated;
