-- Who may see which student: the questions all policies about students ask.
--
-- A tutor's assignment counts while its status is active, today (UTC) lies between its dates, both inclusive, and the
-- account still has role tutor: private.my_tutoring. Without a subject it covers every row of the student; with one it
-- covers only rows of that subject, never rows without subject.
--
-- Policies on big tables ask for arrays, once per statement, and let one column drive one index:
--     student_id = any ((select private.reachable_students())::uuid[])
--     and (
--         student_id <> all ((select private.partly_tutored_students())::uuid[])
--         or uuid_send(student_id) || uuid_send(subject_id) = any ((select private.subject_tutoring_keys())::bytea[])
--     )
-- The first line finds the rows of everybody the caller has to do with; what follows costs nothing for all but
-- one-subject tutors and only takes rows away. With an "or" between two columns at its head the planner would join two
-- bitmaps and visit every row (measured: a tutor's count 4.7 instead of 0.6 ms).
--
-- Tutors of hundreds and tutors of one subject sign in as database roles of their own, so that they get plans of their
-- own (decision 0006): for app_wide_tutor a policy asks private.my_tutoring row by row, for app_subject_tutor one finds
-- rows by student and subject. The arrays above then leave these students out. For the hour until a token tells the
-- role, `authenticated` sees the same rows, only slower.
--
-- The functions that take a student are for checks of single rows. plpgsql keeps plans between statements.

create function private.tutor()
returns uuid
language plpgsql
stable
parallel safe
security definer
set search_path = ''
as $$
begin
    return (select user_id from public.profiles where user_id = private.caller_id() and role = 'tutor');
end
$$;

comment on function private.tutor() is
    'The caller while his account has role tutor, whatever his token says; null for everybody else.';

create function private.is_tutor()
returns boolean
language plpgsql
stable
parallel safe
security definer
set search_path = ''
as $$
begin
    return private.tutor() is not null;
end
$$;

comment on function private.is_tutor() is
    'Whether the caller''s account has role tutor now, whatever his token says.';

create view private.my_students with (security_invoker = false) as
select
    a.student_id,
    a.subject_id,
    a.status
from public.tutor_student_assignments as a
where
    a.tutor_id = (select private.tutor())
    and a.status in ('active', 'paused')
    and (a.start_date is null or a.start_date <= (select private.today()))
    and (a.end_date is null or a.end_date >= (select private.today()));

comment on view private.my_students is
    'The caller''s assignments as a tutor that are now between their dates, paused ones included: whose card he sees. '
    'Reads with the owner''s rights and shows nothing but the caller''s own.';
comment on column private.my_students.student_id is 'The student.';
comment on column private.my_students.subject_id is 'The one subject; null covers all, rows without subject included.';
comment on column private.my_students.status is 'active or paused.';

create view private.my_tutoring with (security_invoker = false) as
select
    student_id,
    subject_id
from private.my_students
where status = 'active';

comment on view private.my_tutoring is 'Whom the caller actively tutors now: whose work he sees.';
comment on column private.my_tutoring.student_id is 'The student.';
comment on column private.my_tutoring.subject_id is 'The one subject; null covers all, rows without subject included.';

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
        select from private.my_tutoring
        where student_id = p_student_id and (subject_id is null or subject_id = p_subject_id)
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
    return exists (select from private.my_tutoring where student_id = p_student_id);
end
$$;

comment on function private.tutors_any(uuid) is
    'Whether the caller actively tutors this student in any subject.';

create function private.tutored_students()
returns uuid[]
language plpgsql
stable
parallel safe
security definer
set search_path = ''
as $$
begin
    return array(select student_id from private.my_tutoring);
end
$$;

comment on function private.tutored_students() is 'Students the caller actively tutors in any subject.';

create function private.listed_students()
returns uuid[]
language plpgsql
stable
parallel safe
security definer
set search_path = ''
as $$
begin
    return case current_setting('role')
        when 'app_wide_tutor' then '{}'
        when 'app_subject_tutor' then array(select student_id from private.my_tutoring where subject_id is null)
        else array(select student_id from private.my_tutoring)
    end;
end
$$;

comment on function private.listed_students() is
    'private.tutored_students(), but for those whom a policy of the caller''s database role finds in another way.';

create function private.partly_tutored_students()
returns uuid[]
language plpgsql
stable
parallel safe
security definer
set search_path = ''
as $$
begin
    -- the usual case is asked for alone
    if current_setting('role') in ('app_subject_tutor', 'app_wide_tutor')
        or not exists (select from private.my_tutoring where subject_id is not null) then
        return '{}';
    end if;
    return array(
        select student_id from private.my_tutoring where subject_id is not null
        except
        select student_id from private.my_tutoring where subject_id is null
    );
end
$$;

comment on function private.partly_tutored_students() is
    'Those of private.listed_students() whom the caller tutors in certain subjects only.';

create function private.subject_tutored_students()
returns uuid[]
language plpgsql
stable
parallel safe
security definer
set search_path = ''
as $$
begin
    return array(select student_id from private.my_tutoring where subject_id is not null);
end
$$;

comment on function private.subject_tutored_students() is 'Students the caller actively tutors in a certain subject.';

create function private.subject_tutoring_keys()
returns bytea[]
language plpgsql
stable
parallel safe
security definer
set search_path = ''
as $$
begin
    return array(
        select uuid_send(student_id) || uuid_send(subject_id) from private.my_tutoring where subject_id is not null
    );
end
$$;

comment on function private.subject_tutoring_keys() is
    'Student and subject, 32 bytes, of each active one-subject assignment of the caller; compared with the same '
    'bytes of a row.';

create function private.own_and_listed_students()
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
    return case when v_me is null then '{}' else array[v_me] || private.listed_students() end;
end
$$;

comment on function private.own_and_listed_students() is
    'The caller himself and private.listed_students(): rows that parents do not see.';

create function private.reachable_students()
returns uuid[]
language plpgsql
stable
parallel safe
security definer
set search_path = ''
as $$
declare
    v_me constant uuid := private.caller_id();
    v_role public.user_role;
begin
    if v_me is null then
        return '{}';
    end if;
    -- one role per account: only one of the two lists can have members
    select role into v_role from public.profiles where user_id = v_me;
    return array[v_me] || case v_role
        when 'tutor' then private.listed_students()
        when 'parent' then private.guarded_students()
        else '{}'
    end;
end
$$;

comment on function private.reachable_students() is
    'The caller himself, his children with consent, and private.listed_students().';

create function private.my_tutors()
returns uuid[]
language plpgsql
stable
parallel safe
security definer
set search_path = ''
as $$
declare
    v_me constant uuid := private.caller_id();
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
parallel safe
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

create function private.tutor_role(p_user_id uuid)
returns text
language sql
stable
security definer
set search_path = ''
as $$
    select case
        when exists (
            select from public.tutor_student_assignments
            where tutor_id = p_user_id and status = 'active'
            offset 250
        ) then 'app_wide_tutor'
        when exists (
            select from public.tutor_student_assignments
            where tutor_id = p_user_id and status = 'active' and subject_id is not null
        ) then 'app_subject_tutor'
        else 'authenticated'
    end;
$$;

comment on function private.tutor_role(uuid) is
    'The database role of a tutor''s tokens: app_wide_tutor above 250 students, app_subject_tutor when he tutors '
    'anybody in one subject only, else authenticated. It decides how rows are found, never which.';
