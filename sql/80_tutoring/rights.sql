-- Who may see which student: the questions that all policies about students ask.
--
-- A tutor's assignment counts while its status is active, today (UTC) lies between its dates, both inclusive, and the
-- account has role tutor now. Without a subject it covers every row of the student. With one it covers only rows of
-- that subject, never rows without a subject.
--
-- Policies on big tables ask for a list once for each statement and let one column drive one index:
--     student_id = any ((select private.visible_students())::uuid[])
--     and (
--         student_id not in (select private.partly_tutored_students())
--         or (student_id, subject_id) in (select t.student_id, t.subject_id from private.tutored_subjects() as t)
--     )
-- The first line finds the rows of everybody the caller has to do with. What follows only takes rows away: it looks
-- into two small hash tables, which are empty for all but tutors of one subject. With an "or" between two columns at
-- the head of the policy the planner would join two bitmaps and visit every row
-- (docs/decisions/0013-one-list-of-students.md).
--
-- The functions that take a student check single rows. All are plpgsql, which keeps its plans between statements.

create function private.is_tutor()
returns boolean
language plpgsql
stable
parallel safe
security definer
set search_path = ''
as $$
begin
    return exists (select from public.profiles where user_id = private.caller_id() and role = 'tutor');
end
$$;

comment on function private.is_tutor() is 'Whether the caller''s profile says tutor now, whatever their token says.';

create view private.current_assignments with (security_invoker = true) as
select
    a.tutor_id,
    a.student_id,
    a.subject_id,
    a.status
from public.tutor_student_assignments as a
inner join public.profiles as p on a.tutor_id = p.user_id
where
    p.role = 'tutor'
    and a.status in ('active', 'paused')
    and (a.start_date is null or a.start_date <= (select private.today()))
    and (a.end_date is null or a.end_date >= (select private.today()));

comment on view private.current_assignments is
    'Everybody''s assignments that are between their dates today, active and paused ones. The functions below read '
    'it; no client may.';
comment on column private.current_assignments.tutor_id is 'The tutor, whose profile says tutor now.';
comment on column private.current_assignments.student_id is 'The student.';
comment on column private.current_assignments.subject_id is
    'The one subject; null covers all, rows without a subject included.';
comment on column private.current_assignments.status is 'active or paused.';

create function private.tutors(p_student_id uuid, p_subject_id uuid)
returns boolean
language plpgsql
stable
parallel safe
security definer
set search_path = ''
as $$
begin
    return exists (
        select from private.current_assignments as a
        where a.tutor_id = (select private.caller_id()) and a.status = 'active' and a.student_id = p_student_id
            and (a.subject_id is null or a.subject_id = p_subject_id)
    );
end
$$;

comment on function private.tutors(uuid, uuid) is
    'Whether the caller actively tutors this student in this subject; with a null subject, in all of them.';

create function private.tutors_any(p_student_id uuid)
returns boolean
language plpgsql
stable
parallel safe
security definer
set search_path = ''
as $$
begin
    return exists (
        select from private.current_assignments as a
        where a.tutor_id = (select private.caller_id()) and a.status = 'active' and a.student_id = p_student_id
    );
end
$$;

comment on function private.tutors_any(uuid) is 'Whether the caller actively tutors this student in any subject.';

create function private.tutored_students()
returns uuid[]
language plpgsql
stable
parallel safe
security definer
set search_path = ''
as $$
begin
    return array(
        select a.student_id from private.current_assignments as a
        where a.tutor_id = (select private.caller_id()) and a.status = 'active'
    );
end
$$;

comment on function private.tutored_students() is 'Students the caller actively tutors in any subject.';

create function private.tutored_subjects()
returns table (student_id uuid, subject_id uuid)
language plpgsql
stable
parallel safe
security definer
set search_path = ''
rows 40
as $$
#variable_conflict use_column
begin
    return query
    select a.student_id, a.subject_id from private.current_assignments as a
    where a.tutor_id = (select private.caller_id()) and a.status = 'active' and a.subject_id is not null;
end
$$;

comment on function private.tutored_subjects() is
    'Student and subject of each active assignment of the caller that names a subject.';

create function private.partly_tutored_students()
returns setof uuid
language plpgsql
stable
parallel safe
security definer
set search_path = ''
rows 10
as $$
begin
    return query
    select a.student_id from private.current_assignments as a
    where a.tutor_id = (select private.caller_id()) and a.status = 'active'
    group by a.student_id having bool_and(a.subject_id is not null);
end
$$;

comment on function private.partly_tutored_students() is
    'Students the caller actively tutors in certain subjects only.';

create function private.own_and_tutored_students()
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
    return case when v_me is null then '{}' else array[v_me] || private.tutored_students() end;
end
$$;

comment on function private.own_and_tutored_students() is
    'The caller and private.tutored_students(): for rows that parents do not see.';

create function private.visible_students()
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

comment on function private.visible_students() is
    'The caller, the students they actively tutor in any subject, and their children with consent.';

create function private.tutors_of(p_student_ids uuid[])
returns uuid[]
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    return array(
        select distinct a.tutor_id from private.current_assignments as a where a.student_id = any (p_student_ids)
    );
end
$$;

comment on function private.tutors_of(uuid[]) is
    'Tutors of these students today, paused ones included. It does not ask who is calling, so no client may run it.';
