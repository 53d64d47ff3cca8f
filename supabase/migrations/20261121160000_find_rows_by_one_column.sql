-- One column drives one index in policies about students, and tutors of hundreds get a database role, so that they get
-- plans of their own (docs/decisions/0006-sets-of-thousands.md).

-- The database roles of tutors of hundreds and of tutors of one subject, reached in the same way. They have the rights of
-- authenticated and not one more: only their plans differ (docs/decisions/0006-sets-of-thousands.md).
do $$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'app_wide_tutor') then
        create role app_wide_tutor nologin;
        comment on role app_wide_tutor is 'Tutors of hundreds: reached through the role claim of an access token.';
    end if;
    if not exists (select from pg_catalog.pg_roles where rolname = 'app_subject_tutor') then
        create role app_subject_tutor nologin;
        comment on role app_subject_tutor is 'Tutors of one subject: reached through the role claim of an access token.';
    end if;
end
$$;

grant authenticated to app_wide_tutor, app_subject_tutor;
grant app_wide_tutor, app_subject_tutor to authenticator;
grant app_wide_tutor, app_subject_tutor to postgres;

alter function private.today() security definer;
grant execute on function private.today() to authenticated;

drop policy select_related on public.user_stats;
drop policy select_related on public.student_subjects;
drop policy select_visible on public.goals;
drop policy update_shaper on public.goals;
drop policy select_visible on public.tutoring_sessions;
drop policy select_visible on public.summaries;
drop policy select_visible on public.practice_assignments;
drop policy update_tutor on public.practice_assignments;
drop policy select_reader on public.practice_assignment_answers;
drop policy select_visible on public.student_ratings;
drop policy select_visible on public.qa_interactions;
drop policy select_tutor on public.overrides;

drop function private.visible_students();
drop function private.own_and_tutored_students();
drop function private.escalated_questions();
drop function private.tutored_students_any();
drop function private.tutored_students();

create function private.tutor()
returns uuid
language plpgsql
stable
parallel safe
security definer
set search_path = ''
as $$
begin
    return (select user_id from public.profiles where user_id = private.person() and role = 'tutor');
end
$$;

comment on function private.tutor() is
    'The caller while his account has role tutor, whatever his token says; null for everybody else.';

create or replace function private.is_tutor()
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

create view private.my_tutoring with (security_invoker = false) as
select
    a.student_id,
    a.subject_id
from public.tutor_student_assignments as a
where
    a.tutor_id = (select private.tutor())
    and a.status = 'active'
    and (a.start_date is null or a.start_date <= (select private.today()))
    and (a.end_date is null or a.end_date >= (select private.today()));

comment on view private.my_tutoring is
    'Whom the caller actively tutors now, and in which subject (null: in all). Reads with the owner''s rights and shows '
    'the caller''s own assignments only.';
comment on column private.my_tutoring.student_id is 'The student.';
comment on column private.my_tutoring.subject_id is 'The one subject; null covers all, rows without subject included.';

create or replace function private.tutors(p_student_id uuid, p_subject_id uuid)
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

create or replace function private.tutors_any(p_student_id uuid)
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
        else private.tutored_students()
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
    if current_setting('role') in ('app_subject_tutor', 'app_wide_tutor') then
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

create or replace function private.subject_tutoring_keys()
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
    v_me constant uuid := private.person();
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
    v_me constant uuid := private.person();
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

revoke all on function private.tutor() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.tutor() to authenticated;
revoke all on function private.tutored_students() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.tutored_students() to authenticated;
revoke all on function private.listed_students() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.listed_students() to authenticated;
revoke all on function private.partly_tutored_students() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.partly_tutored_students() to authenticated;
revoke all on function private.subject_tutored_students() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.subject_tutored_students() to authenticated;
revoke all on function private.own_and_listed_students() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.own_and_listed_students() to authenticated;
revoke all on function private.reachable_students() from public, anon, authenticated, app_admin, service_role;
grant execute on function private.reachable_students() to authenticated;
revoke all on private.my_tutoring from public, anon, authenticated, app_admin, app_wide_tutor, service_role;
grant select on private.my_tutoring to app_wide_tutor;
revoke all on function private.tutor_role(uuid) from public, anon, authenticated, app_admin, service_role;
grant execute on function private.tutor_role(uuid) to supabase_auth_admin;

create or replace function private.custom_access_token(event jsonb)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
    v_role public.user_role;
begin
    -- An account that Canvas made has no credentials of its own: a teacher removed there must not stay by a password.
    -- Our LTI hand-off redeems a one-time link, which Auth calls otp.
    if event #>> '{claims,app_metadata,lti,managed}' = 'true'
       and coalesce(event ->> 'authentication_method', '') not in ('otp', 'token_refresh') then
        return jsonb_build_object(
            'error',
            jsonb_build_object('http_code', 403, 'message', 'This account signs in from Canvas. Open the tool there.')
        );
    end if;

    select role into v_role from public.profiles where user_id = (event ->> 'user_id')::uuid;
    event := jsonb_set(event, '{claims,user_role}', to_jsonb(coalesce(v_role, 'student')));
    if v_role = 'admin' then
        event := jsonb_set(event, '{claims,role}', '"app_admin"');
    elsif v_role = 'tutor' then
        event := jsonb_set(event, '{claims,role}', to_jsonb(private.tutor_role((event ->> 'user_id')::uuid)));
    end if;
    return event;
end
$$;

comment on function private.custom_access_token(jsonb) is
    'Adds user_role to every access token, and their database role to those of staff and tutors. Refuses any sign-in of a '
    'managed LTI account but the one-time link of our own hand-off. An account without profile counts as student.';

create policy select_related on public.user_stats for select to authenticated
using (
    user_id = any ((select private.reachable_students())::uuid[])
    and user_id <> all ((select private.partly_tutored_students())::uuid[])
);
comment on policy select_related on public.user_stats is
    'Own figures; those of children with consent; those of students tutored in all subjects.';

create policy select_wide_tutor on public.user_stats for select to app_wide_tutor
using (
        (
            select true from private.my_tutoring as t
            where
                t.student_id = user_stats.user_id
                and t.subject_id is null
            limit 1
        )
    );
comment on policy select_wide_tutor on public.user_stats is
    'Figures of students a tutor of hundreds tutors in all subjects, asked row by row.';

create policy select_related on public.student_subjects for select to authenticated
    using (
        student_id = any ((select private.reachable_students())::uuid[])
    );
comment on policy select_related on public.student_subjects is
    'The student, his parents, and his tutors of any subject.';

create policy select_wide_tutor on public.student_subjects for select to app_wide_tutor
    using (
        (
            select true from private.my_tutoring as t
            where
                t.student_id = student_subjects.student_id
            limit 1
        )
    );
comment on policy select_wide_tutor on public.student_subjects is
    'A tutor of hundreds sees the lists of all his students, asked row by row.';

create policy select_subject_tutor on public.student_subjects for select to app_subject_tutor
    using (student_id = any ((select private.subject_tutored_students())::uuid[]));
comment on policy select_subject_tutor on public.student_subjects is
    'A tutor of one subject sees the lists of all his students.';

create policy select_visible on public.goals for select to authenticated
    using (
        student_id = any ((select private.reachable_students())::uuid[])
        and (
            student_id <> all ((select private.partly_tutored_students())::uuid[])
            or uuid_send(student_id) || uuid_send(subject_id) = any ((select private.subject_tutoring_keys())::bytea[])
        )
    );
comment on policy select_visible on public.goals is 'The student, his parents, and his tutor of the subject.';

create policy select_wide_tutor on public.goals for select to app_wide_tutor
    using (
        (
            select true from private.my_tutoring as t
            where
                t.student_id = goals.student_id
                and (t.subject_id is null or t.subject_id = goals.subject_id)
            limit 1
        )
    );
comment on policy select_wide_tutor on public.goals is
    'A tutor of hundreds sees the same rows, asked row by row.';

create policy select_subject_tutor on public.goals for select to app_subject_tutor
    using (uuid_send(student_id) || uuid_send(subject_id) = any ((select private.subject_tutoring_keys())::bytea[]));
comment on policy select_subject_tutor on public.goals is
    'A tutor of one subject sees the same rows, found by student and subject.';

create policy update_shaper on public.goals for update to authenticated
    using (
        student_id = (select auth.uid())
        or (student_id = any ((select private.tutored_students())::uuid[]) and private.tutors(student_id, subject_id))
    )
    with check (
        student_id = (select auth.uid())
        or (student_id = any ((select private.tutored_students())::uuid[]) and private.tutors(student_id, subject_id))
    );
comment on policy update_shaper on public.goals is 'The student or his tutor of the subject; a parent only looks on.';

create policy select_visible on public.tutoring_sessions for select to authenticated
    using (
        student_id = any ((select private.reachable_students())::uuid[])
        and (
            student_id <> all ((select private.partly_tutored_students())::uuid[])
            or uuid_send(student_id) || uuid_send(subject_id) = any ((select private.subject_tutoring_keys())::bytea[])
        )
    );
comment on policy select_visible on public.tutoring_sessions is
    'The student, his parents, and his tutor of the subject.';

create policy select_wide_tutor on public.tutoring_sessions for select to app_wide_tutor
    using (
        (
            select true from private.my_tutoring as t
            where
                t.student_id = tutoring_sessions.student_id
                and (t.subject_id is null or t.subject_id = tutoring_sessions.subject_id)
            limit 1
        )
    );
comment on policy select_wide_tutor on public.tutoring_sessions is
    'A tutor of hundreds sees the same rows, asked row by row.';

create policy select_subject_tutor on public.tutoring_sessions for select to app_subject_tutor
    using (uuid_send(student_id) || uuid_send(subject_id) = any ((select private.subject_tutoring_keys())::bytea[]));
comment on policy select_subject_tutor on public.tutoring_sessions is
    'A tutor of one subject sees the same rows, found by student and subject.';

create policy select_visible on public.summaries for select to authenticated
    using (
        student_id = any ((select private.reachable_students())::uuid[])
        and (
            student_id <> all ((select private.partly_tutored_students())::uuid[])
            or uuid_send(student_id) || uuid_send(subject_id) = any ((select private.subject_tutoring_keys())::bytea[])
        )
    );
comment on policy select_visible on public.summaries is
    'The student, his parents, and his tutor of the session''s subject.';

create policy select_wide_tutor on public.summaries for select to app_wide_tutor
    using (
        (
            select true from private.my_tutoring as t
            where
                t.student_id = summaries.student_id
                and (t.subject_id is null or t.subject_id = summaries.subject_id)
            limit 1
        )
    );
comment on policy select_wide_tutor on public.summaries is
    'A tutor of hundreds sees the same rows, asked row by row.';

create policy select_subject_tutor on public.summaries for select to app_subject_tutor
    using (uuid_send(student_id) || uuid_send(subject_id) = any ((select private.subject_tutoring_keys())::bytea[]));
comment on policy select_subject_tutor on public.summaries is
    'A tutor of one subject sees the same rows, found by student and subject.';

create policy select_visible on public.practice_assignments for select to authenticated
    using (
        student_id = any ((select private.reachable_students())::uuid[])
        and (
            student_id <> all ((select private.partly_tutored_students())::uuid[])
            or uuid_send(student_id) || uuid_send(subject_id) = any ((select private.subject_tutoring_keys())::bytea[])
        )
    );
comment on policy select_visible on public.practice_assignments is
    'The student, his parents, and his tutor of the subject.';

create policy select_wide_tutor on public.practice_assignments for select to app_wide_tutor
    using (
        (
            select true from private.my_tutoring as t
            where
                t.student_id = practice_assignments.student_id
                and (t.subject_id is null or t.subject_id = practice_assignments.subject_id)
            limit 1
        )
    );
comment on policy select_wide_tutor on public.practice_assignments is
    'A tutor of hundreds sees the same rows, asked row by row.';

create policy select_subject_tutor on public.practice_assignments for select to app_subject_tutor
    using (uuid_send(student_id) || uuid_send(subject_id) = any ((select private.subject_tutoring_keys())::bytea[]));
comment on policy select_subject_tutor on public.practice_assignments is
    'A tutor of one subject sees the same rows, found by student and subject.';

create policy update_tutor on public.practice_assignments for update to authenticated
    using (student_id = any ((select private.tutored_students())::uuid[]) and private.tutors(student_id, subject_id))
    with check (private.tutors(student_id, subject_id));
comment on policy update_tutor on public.practice_assignments is 'A tutor flags or clears a question of his student.';

create policy select_reader on public.practice_assignment_answers for select to authenticated
    using (
        exists (
            select from public.practice_assignments as a
            where a.id = practice_assignment_id
                and (
                    (a.student_id = (select auth.uid()) and a.completed)
                    or private.tutors(a.student_id, a.subject_id)
                )
        )
    );
comment on policy select_reader on public.practice_assignment_answers is
    'The student who is done, and his tutor of the subject.';

create policy select_visible on public.student_ratings for select to authenticated
    using (
        student_id = any ((select private.reachable_students())::uuid[])
        and (
            student_id <> all ((select private.partly_tutored_students())::uuid[])
            or uuid_send(student_id) || uuid_send(subject_id) = any ((select private.subject_tutoring_keys())::bytea[])
        )
    );
comment on policy select_visible on public.student_ratings is
    'The student, his parents, and his tutor of the subject.';

create policy select_wide_tutor on public.student_ratings for select to app_wide_tutor
    using (
        (
            select true from private.my_tutoring as t
            where
                t.student_id = student_ratings.student_id
                and (t.subject_id is null or t.subject_id = student_ratings.subject_id)
            limit 1
        )
    );
comment on policy select_wide_tutor on public.student_ratings is
    'A tutor of hundreds sees the same rows, asked row by row.';

create policy select_subject_tutor on public.student_ratings for select to app_subject_tutor
    using (uuid_send(student_id) || uuid_send(subject_id) = any ((select private.subject_tutoring_keys())::bytea[]));
comment on policy select_subject_tutor on public.student_ratings is
    'A tutor of one subject sees the same rows, found by student and subject.';

create policy select_visible on public.qa_interactions for select to authenticated
    using (
        student_id = any ((select private.own_and_listed_students())::uuid[])
        and (
            student_id <> all ((select private.partly_tutored_students())::uuid[])
            or escalated_to_tutor_id = (select auth.uid())
        )
    );
comment on policy select_visible on public.qa_interactions is
    'The student, his tutor in all subjects, and the tutor it was handed to while he tutors the student.';

create policy select_wide_tutor on public.qa_interactions for select to app_wide_tutor
    using (
        (
            select true from private.my_tutoring as t
            where
                t.student_id = qa_interactions.student_id
                and (t.subject_id is null or qa_interactions.escalated_to_tutor_id = (select auth.uid()))
            limit 1
        )
    );
comment on policy select_wide_tutor on public.qa_interactions is
    'A tutor of hundreds sees the same rows, asked row by row.';

create policy select_subject_tutor on public.qa_interactions for select to app_subject_tutor
    using (
        escalated_to_tutor_id = (select auth.uid())
        and student_id = any ((select private.subject_tutored_students())::uuid[])
    );
comment on policy select_subject_tutor on public.qa_interactions is
    'A tutor of one subject sees the questions handed to him.';

create policy select_tutor on public.overrides for select to authenticated
    using (
        student_id = any ((select private.listed_students())::uuid[])
        and (
            student_id <> all ((select private.partly_tutored_students())::uuid[])
            or uuid_send(student_id) || uuid_send(subject_id) = any ((select private.subject_tutoring_keys())::bytea[])
            or tutor_id = (select auth.uid())
        )
    );
comment on policy select_tutor on public.overrides is
    'Tutors of the student in the subject, and the author while he tutors the student.';

create policy select_wide_tutor on public.overrides for select to app_wide_tutor
    using (
        (
            select true from private.my_tutoring as t
            where
                t.student_id = overrides.student_id
                and (
                    t.subject_id is null
                    or t.subject_id = overrides.subject_id
                    or overrides.tutor_id = (select auth.uid())
                )
            limit 1
        )
    );
comment on policy select_wide_tutor on public.overrides is
    'A tutor of hundreds sees the same rows, asked row by row.';

create policy select_subject_tutor on public.overrides for select to app_subject_tutor
    using (
        uuid_send(student_id) || uuid_send(subject_id) = any ((select private.subject_tutoring_keys())::bytea[])
        or (tutor_id = (select auth.uid()) and student_id = any ((select private.subject_tutored_students())::uuid[]))
    );
comment on policy select_subject_tutor on public.overrides is
    'A tutor of one subject sees the same rows, found by student and subject, or as his own.';

alter function private.my_tutors() parallel safe;
alter function private.tutors_of_guarded_students() parallel safe;

-- What is asked beside the array is answered from the index.
drop index public.idx_summaries_student;
create index idx_summaries_student on public.summaries (student_id, created_at desc) include (subject_id);
drop index public.idx_qa_student;
create index idx_qa_student on public.qa_interactions (student_id, created_at desc) include (escalated_to_tutor_id);
