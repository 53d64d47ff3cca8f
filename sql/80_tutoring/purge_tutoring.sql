-- What this room tidies. Called by svc_purge_expired (90_platform).

create function private.purge_tutoring()
returns jsonb
language sql
volatile
security definer
set search_path = ''
as $$
    -- access stopped with the day; this makes the state say so
    with ended as (
        update public.tutor_student_assignments set status = 'completed'
        where status in ('active', 'paused') and end_date < private.today()
        returning 1
    )
    select jsonb_build_object('assignments_ended', count(*)) from ended;
$$;

comment on function private.purge_tutoring() is 'Ends assignments whose last day is over; how many, by name.';
