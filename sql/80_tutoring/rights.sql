-- Who may see which student: the questions all policies about students ask.
--
-- A tutor's assignment counts while its status is active, today (UTC) lies between its dates, both inclusive, and the
-- account still has role tutor. Without a subject it covers every row of the student; with one it covers only rows of
-- that subject, never rows without subject.
--
-- Policies on big tables use the functions that return arrays, each asked once per statement:
--     student_id = any ((select private.visible_students())::uuid[])
--     or uuid_send(student_id) || uuid_send(subject_id) = any ((select private.subject_tutoring_keys())::bytea[])
-- Both arms match an index exactly, so the planner joins two index scans and keeps no filter per row. But the second
-- is not leakproof: beside a restrictive select policy, which is tested first, it could drive no index (measured: 400
-- instead of 0.5 ms at a million rows). So these tables, and qa_interactions, have no restrictive policy for select;
-- to anonymous sign-ins, whom private.person() does not know, the sets below are empty instead. The functions that
-- take a student are for checks of single rows. plpgsql keeps their plans between statements.

create function private.tutors(p_student_id uuid, p_subject_id uuid)
returns boolean
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_me constant uuid := private.person();
    v_today constant date := (private.clock() at time zone 'UTC')::date;
begin
    return exists (
        select from public.tutor_student_assignments as a
        join public.profiles as p on p.user_id = a.tutor_id and p.role = 'tutor'
        where a.tutor_id = v_me
            and a.student_id = p_student_id
            and a.status = 'active'
            and (a.subject_id is null or a.subject_id = p_subject_id)
            and (a.start_date is null or a.start_date <= v_today)
            and (a.end_date is null or a.end_date >= v_today)
    );
end
$$;

comment on function private.tutors(uuid, uuid) is
    'Whether the caller actively tutors this student in this subject; with a null subject, in all of them.';

create function private.tutors_any(p_student_id uuid)
returns boolean
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_me constant uuid := private.person();
    v_today constant date := (private.clock() at time zone 'UTC')::date;
begin
    return exists (
        select from public.tutor_student_assignments as a
        join public.profiles as p on p.user_id = a.tutor_id and p.role = 'tutor'
        where a.tutor_id = v_me
            and a.student_id = p_student_id
            and a.status = 'active'
            and (a.start_date is null or a.start_date <= v_today)
            and (a.end_date is null or a.end_date >= v_today)
    );
end
$$;

comment on function private.tutors_any(uuid) is 'Whether the caller actively tutors this student in any subject.';

create function private.is_tutor()
returns boolean
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_me constant uuid := private.person();
begin
    return exists (select from public.profiles where user_id = v_me and role = 'tutor');
end
$$;

comment on function private.is_tutor() is
    'Whether the caller''s account has role tutor now, whatever his token says.';

create function private.tutored_students()
returns uuid[]
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_me constant uuid := private.person();
    v_today constant date := (private.clock() at time zone 'UTC')::date;
begin
    if not exists (select from public.profiles where user_id = v_me and role = 'tutor') then
        return '{}';
    end if;
    return array(
        select a.student_id from public.tutor_student_assignments as a
        where a.tutor_id = v_me
            and a.status = 'active'
            and a.subject_id is null
            and (a.start_date is null or a.start_date <= v_today)
            and (a.end_date is null or a.end_date >= v_today)
    );
end
$$;

comment on function private.tutored_students() is 'Students the caller actively tutors in all subjects.';

create function private.tutored_students_any()
returns uuid[]
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_me constant uuid := private.person();
    v_today constant date := (private.clock() at time zone 'UTC')::date;
begin
    if not exists (select from public.profiles where user_id = v_me and role = 'tutor') then
        return '{}';
    end if;
    return array(
        select distinct a.student_id from public.tutor_student_assignments as a
        where a.tutor_id = v_me
            and a.status = 'active'
            and (a.start_date is null or a.start_date <= v_today)
            and (a.end_date is null or a.end_date >= v_today)
    );
end
$$;

comment on function private.tutored_students_any() is 'Students the caller actively tutors in any subject.';

create function private.subject_tutoring_keys()
returns bytea[]
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_me constant uuid := private.person();
    v_today constant date := (private.clock() at time zone 'UTC')::date;
begin
    if not exists (select from public.profiles where user_id = v_me and role = 'tutor') then
        return '{}';
    end if;
    return array(
        select uuid_send(a.student_id) || uuid_send(a.subject_id) from public.tutor_student_assignments as a
        where a.tutor_id = v_me
            and a.status = 'active'
            and a.subject_id is not null
            and (a.start_date is null or a.start_date <= v_today)
            and (a.end_date is null or a.end_date >= v_today)
    );
end
$$;

comment on function private.subject_tutoring_keys() is
    'Student and subject, 32 bytes, of each active one-subject assignment of the caller; compared with the same '
    'bytes of a row, for which its table has an index.';

create function private.own_and_tutored_students()
returns uuid[]
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_me constant uuid := private.person();
begin
    return case when v_me is null then '{}' else array[v_me] || private.tutored_students() end;
end
$$;

comment on function private.own_and_tutored_students() is
    'The caller himself and the students he actively tutors in all subjects: rows that parents do not see.';

create function private.visible_students()
returns uuid[]
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_me constant uuid := private.person();
    v_role public.user_role;
begin
    if v_me is null then
        return '{}';
    end if;
    -- one role per account: only one of the two lists can have members
    select role into v_role from public.profiles where user_id = v_me;
    return array[v_me] || case v_role
        when 'tutor' then private.tutored_students()
        when 'parent' then private.guarded_students()
        else '{}'
    end;
end
$$;

comment on function private.visible_students() is
    'The caller himself, his children with consent, and the students he actively tutors in all subjects.';

create function private.my_tutors()
returns uuid[]
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_me constant uuid := private.person();
    v_today constant date := (private.clock() at time zone 'UTC')::date;
begin
    return array(
        select distinct a.tutor_id from public.tutor_student_assignments as a
        join public.profiles as p on p.user_id = a.tutor_id and p.role = 'tutor'
        where a.student_id = v_me
            and a.status in ('active', 'paused')
            and (a.start_date is null or a.start_date <= v_today)
            and (a.end_date is null or a.end_date >= v_today)
    );
end
$$;

comment on function private.my_tutors() is
    'The caller''s tutors, paused ones included: a student may see who they are.';

create function private.tutors_of_guarded_students()
returns uuid[]
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_today constant date := (private.clock() at time zone 'UTC')::date;
begin
    return array(
        select distinct a.tutor_id from public.tutor_student_assignments as a
        join public.profiles as p on p.user_id = a.tutor_id and p.role = 'tutor'
        where a.student_id = any (private.guarded_students())
            and a.status in ('active', 'paused')
            and (a.start_date is null or a.start_date <= v_today)
            and (a.end_date is null or a.end_date >= v_today)
    );
end
$$;

comment on function private.tutors_of_guarded_students() is
    'Tutors of the caller''s children with consent, paused ones included.';

create function private.escalated_questions()
returns uuid[]
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_me constant uuid := private.person();
    v_today constant date := (private.clock() at time zone 'UTC')::date;
begin
    if not exists (select from public.profiles where user_id = v_me and role = 'tutor') then
        return '{}';
    end if;
    return array(
        select q.id from public.qa_interactions as q
        where q.escalated_to_tutor_id = v_me
            and exists (
                select from public.tutor_student_assignments as a
                where a.tutor_id = v_me
                    and a.student_id = q.student_id
                    and a.status = 'active'
                    and (a.start_date is null or a.start_date <= v_today)
                    and (a.end_date is null or a.end_date >= v_today)
            )
    );
end
$$;

comment on function private.escalated_questions() is
    'Questions handed to the caller by students he actively tutors in any subject; few, whoever he is.';
