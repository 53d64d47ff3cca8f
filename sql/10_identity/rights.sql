-- Who is related to whom, as policies ask it. Sets are uuid[], so that `column = any((select private.set())::uuid[])` runs
-- once per statement and drives an index; the boolean forms are for single checks in RPCs, never for rows of a table.
-- Rights of tutors are in 80_tutoring/rights.sql.

create function private.is_admin()
returns boolean
language plpgsql
stable
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

create function private.guards(p_student_id uuid)
returns boolean
language sql
stable
security definer
set search_path = ''
as $$
    select exists (
        select from public.guardianships as g
        join public.profiles as parent on parent.user_id = g.parent_id
        where g.parent_id = (select private.caller_id()) and g.student_id = p_student_id
          and g.status = 'active' and parent.role = 'parent'
          and (g.valid_until is null or g.valid_until >= private.today())
    );
$$;

comment on function private.guards(uuid) is
    'The caller is a parent with consent for this student: active, not past valid_until, role still parent.';

create function private.guarded_students()
returns uuid[]
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_today constant date := (private.clock() at time zone 'UTC')::date;
begin
    -- plpgsql keeps this plan between statements; policies ask at every request of a parent
    return array(
        select g.student_id
        from public.guardianships as g
        join public.profiles as parent on parent.user_id = g.parent_id
        where g.parent_id = private.caller_id() and g.status = 'active' and parent.role = 'parent'
          and (g.valid_until is null or g.valid_until >= v_today)
    );
end
$$;

comment on function private.guarded_students() is 'The students private.guards() says yes to, as a set.';

create function private.my_guardians()
returns uuid[]
language sql
stable
security definer
set search_path = ''
as $$
    select coalesce(array_agg(g.parent_id), '{}')
    from public.guardianships as g
    join public.profiles as parent on parent.user_id = g.parent_id
    where g.student_id = (select private.caller_id()) and g.status = 'active' and parent.role = 'parent'
      and (g.valid_until is null or g.valid_until >= private.today());
$$;

comment on function private.my_guardians() is 'The parents who see the caller now.';

create function private.related_people()
returns uuid[]
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_role public.user_role;
begin
    -- one role per account: a person has ties of one kind
    select role into v_role from public.profiles where user_id = private.caller_id();
    return case
        when v_role = 'student' then private.my_guardians() || private.my_tutors()
        when v_role = 'parent' then private.guarded_students() || private.tutors_of_guarded_students()
        -- a policy of that role finds them
        when current_setting('role') = 'app_wide_tutor' then '{}'
        -- a paused tutor keeps the card of his student, though no row of the student's work
        when v_role = 'tutor' then array(select distinct student_id from private.my_students)
        else '{}'
    end;
end
$$;

comment on function private.related_people() is
    'Whose card (profiles row) the caller sees beside his own: his students, tutors, guardians, children with consent and '
    'their tutors.';
