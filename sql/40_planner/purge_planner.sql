-- What this room forgets. Called by svc_purge_expired (90_platform).

create function private.purge_planner()
returns jsonb
language sql
volatile
security definer
set search_path = ''
as $$
    select jsonb_build_object(
        'notifications', private.purge('public.notifications', 'coalesce(dismissed_at, sent_at)', '90 days'),
        'nudges', private.purge('public.nudges', 'created_at', '400 days')
    );
$$;

comment on function private.purge_planner() is 'Deletes what this room no longer keeps; how many rows went, by name.';
