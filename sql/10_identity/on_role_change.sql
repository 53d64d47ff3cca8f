-- Whoever stops being a tutor or parent keeps no access through an old row. A student with an active tutor or guardian
-- stays a student.

create function private.on_role_change()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if old.role = 'student' and (
        exists (
            select from public.tutor_student_assignments where student_id = old.user_id and status = 'active'
        )
        or exists (select from public.guardianships where student_id = old.user_id and status = 'active')
    ) then
        raise exception 'a student with an active tutor or guardian cannot change the role'
            using errcode = '23514', hint = 'End the assignments and guardianships first.';
    end if;
    if old.role = 'student' then
        -- a paused assignment or a pending request must not become active for somebody who is no longer a student
        update public.tutor_student_assignments set status = 'completed'
        where student_id = old.user_id and status = 'paused';
        update public.guardianships set status = 'revoked'
        where student_id = old.user_id and status = 'pending';
    elsif old.role = 'tutor' then
        update public.tutor_student_assignments
        -- an assignment that had not begun ends on the day it would have begun: end_date must not precede start_date
        set status = 'completed', end_date = greatest(start_date, private.today())
        where tutor_id = old.user_id and status in ('active', 'paused');
    elsif old.role = 'parent' then
        update public.guardianships set status = 'revoked'
        where parent_id = old.user_id and status in ('pending', 'active');
    end if;
    return null;
end
$$;

comment on function private.on_role_change() is
    'AFTER UPDATE OF role on profiles: ends the assignments of a former tutor and the guardianships of a former '
    'parent. A student with an active assignment or guardianship keeps the role (23514); paused and pending ones end.';

create trigger trg_profiles_role after update of role on public.profiles
for each row when (old.role is distinct from new.role)
execute function private.on_role_change();
