-- A person who stops being tutor or parent keeps no access by an old row; a student in somebody's care stays a student.

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
        raise exception 'a student with an active tutor or guardian keeps the role'
            using errcode = '23514', hint = 'End the assignments and guardianships first.';
    end if;
    if old.role = 'student' then
        -- what is paused or only asked for must not come to life for somebody who is no student
        update public.tutor_student_assignments set status = 'completed'
        where student_id = old.user_id and status = 'paused';
        update public.guardianships set status = 'revoked'
        where student_id = old.user_id and status = 'pending';
    elsif old.role = 'tutor' then
        update public.tutor_student_assignments
        -- an assignment that had not begun ends on the day it would have
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
    'AFTER UPDATE OF role on profiles: ends the assignments of a former tutor and the guardianships of a former parent; '
    '23514 for a student with an active assignment or guardianship, paused and pending ones end.';

create trigger trg_profiles_role after update of role on public.profiles
for each row when (old.role is distinct from new.role)
execute function private.on_role_change();
