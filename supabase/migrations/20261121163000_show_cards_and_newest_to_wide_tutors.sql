-- A tutor of hundreds finds the cards of his students row by row, too, and the newest rows in the order of an index.

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

create or replace view private.my_tutoring with (security_invoker = false) as
select
    student_id,
    subject_id
from private.my_students
where status = 'active';

comment on view private.my_tutoring is 'Whom the caller actively tutors now: whose work he sees.';
comment on column private.my_tutoring.student_id is 'The student.';
comment on column private.my_tutoring.subject_id is 'The one subject; null covers all, rows without subject included.';

create or replace function private.partly_tutored_students()
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

create or replace function private.related_people()
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
    select role into v_role from public.profiles where user_id = private.person();
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

revoke all on private.my_students from public, anon, authenticated, app_admin, app_wide_tutor, service_role;
grant select on private.my_students to app_wide_tutor;

create policy select_wide_tutor on public.profiles for select to app_wide_tutor
using (
    (
        select true from private.my_students as t
        where t.student_id = profiles.user_id
        limit 1
    )
);
comment on policy select_wide_tutor on public.profiles is
    'A tutor of hundreds sees the cards of all his students, asked row by row.';

create index idx_summaries_created on public.summaries (created_at);
create index idx_goals_created on public.goals (created_at);
create index idx_pa_assigned on public.practice_assignments (assigned_at);
