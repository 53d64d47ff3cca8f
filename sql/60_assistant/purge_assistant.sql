-- What this room forgets. Called by svc_purge_expired (90_platform).

create function private.purge_assistant()
returns jsonb
language sql
volatile
security definer
set search_path = ''
as $$
    select jsonb_build_object(
        'courses_cache', private.purge('public.courses_cache', 'cached_at', '24 hours')
    );
$$;

comment on function private.purge_assistant() is 'Deletes what this room no longer keeps; how many rows went, by name.';
