-- Who is related to whom, as policies ask it. Lists are uuid[], so that `column = any ((select
-- private.list())::uuid[])` runs once for a statement and drives an index. The boolean forms check single rows in
-- functions, never rows of a table. Rights of tutors are in 80_tutoring/rights.sql.

create function private.is_admin()
returns boolean
language plpgsql
stable
parallel safe
security definer
set search_path = ''
as $$
begin
    return exists (select from public.profiles where user_id = private.caller_id() and role = 'admin');
end
$$;

comment on function private.is_admin() is
    'Whether the caller''s profile says admin now. A token keeps its role for up to an hour, so the token alone opens '
    'nothing to a former administrator.';

create function private.require_admin()
returns void
language plpgsql
stable
set search_path = ''
as $$
begin
    if not private.is_admin() then
        raise exception 'only administrators may do this' using errcode = '42501';
    end if;
end
$$;

comment on function private.require_admin() is 'private.is_admin() for functions: raises 42501 for everybody else.';

create function private.guarded_students()
returns uuid[]
language plpgsql
stable
parallel safe
security definer
set search_path = ''
as $$
declare
    v_today constant date := private.today();
begin
    return array(
        select g.student_id from public.guardianships as g
        join public.profiles as parent on parent.user_id = g.parent_id and parent.role = 'parent'
        where g.parent_id = private.caller_id() and g.status = 'active'
            and (g.valid_until is null or g.valid_until >= v_today)
    );
end
$$;

comment on function private.guarded_students() is
    'The caller''s children: consent is active and not past valid_until, and the caller''s role is still parent.';

create function private.my_guardians()
returns uuid[]
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_today constant date := private.today();
begin
    return array(
        select g.parent_id from public.guardianships as g
        join public.profiles as parent on parent.user_id = g.parent_id and parent.role = 'parent'
        where g.student_id = private.caller_id() and g.status = 'active'
            and (g.valid_until is null or g.valid_until >= v_today)
    );
end
$$;

comment on function private.my_guardians() is 'The parents who see the caller now.';

create function private.related_people()
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
    -- An account has one role, so a person has ties of one kind.
    return case (select role from public.profiles where user_id = v_me)
        when 'student' then private.my_guardians() || private.tutors_of(array[v_me])
        when 'parent' then private.guarded_students() || private.tutors_of(private.guarded_students())
        -- A paused tutor keeps the profile of the student, though no row of the student's work.
        when 'tutor' then array(select distinct student_id from private.current_assignments where tutor_id = v_me)
        else '{}'
    end;
end
$$;

comment on function private.related_people() is
    'Whose profile the caller sees beside their own: students, tutors, guardians, children with consent and their '
    'tutors.';
