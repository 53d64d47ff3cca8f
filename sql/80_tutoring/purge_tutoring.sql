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
    ),

    forgotten as (
        delete from private.invitations where expires_at < private.clock() - interval '30 days'
        returning 1
    )

    select jsonb_build_object(
        'assignments_ended', (select count(*) from ended), 'invitations', (select count(*) from forgotten)
    );
$$;

comment on function private.purge_tutoring() is
    'Ends assignments whose last day is over, and deletes invitations that expired 30 days ago; how many, by name.';
