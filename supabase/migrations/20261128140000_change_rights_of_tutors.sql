-- Tables that can be read by date say that a student has about ten rows; the list of a caller's students follows the
-- caller's role.
-- Touches: tutoring. Undo: set n_distinct to -0.05 and restore the former body of private.visible_students; no row changes.

set lock_timeout = '5s';

alter table public.goals alter column student_id set (n_distinct = -0.1);
alter table public.overrides alter column student_id set (n_distinct = -0.1);
alter table public.practice_assignments alter column student_id set (n_distinct = -0.1);
alter table public.qa_interactions alter column student_id set (n_distinct = -0.1);
alter table public.summaries alter column student_id set (n_distinct = -0.1);
alter table public.tutoring_sessions alter column student_id set (n_distinct = -0.1);

create or replace function private.visible_students()
returns uuid[]
language plpgsql
stable
parallel safe
security definer
set search_path = ''
as $$
declare
    v_me constant uuid := private.caller_id();
begin
    -- An account has one role, so only one of the lists can have members.
    return case (select role from public.profiles where user_id = v_me)
        when 'tutor' then array[v_me] || private.tutored_students()
        when 'parent' then array[v_me] || private.guarded_students()
        else array_remove(array[v_me], null)
    end;
end
$$;
