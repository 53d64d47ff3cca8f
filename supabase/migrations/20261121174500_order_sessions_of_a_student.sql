-- A student's page of sessions comes newest first from an index, however many he has had.

create index idx_sessions_student_date on public.tutoring_sessions (student_id, session_date);

create or replace function private.listed_students()
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
