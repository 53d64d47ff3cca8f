-- What this room forgets. The documents stay. Called by svc_purge_expired (90_platform).

create function private.purge_headstart()
returns jsonb
language sql
volatile
security definer
set search_path = ''
as $$
    select jsonb_build_object(
        'headstart_runs', private.purge(
            'public.headstart_runs', 'created_at', '180 days', 'status in (''succeeded'', ''failed'', ''cancelled'')'
        ),
        'generation_events', private.purge('private.generation_events', 'at', '1 day')
    );
$$;

comment on function private.purge_headstart() is 'Deletes what this room no longer keeps; how many rows went, by name.';
