-- What this room forgets. Called by svc_purge_expired (90_platform).

create function private.purge_lectures()
returns jsonb
language sql
volatile
security definer
set search_path = ''
as $$
    select jsonb_build_object(
        -- a lecture that nobody was ever linked to; the last unlinking deletes by itself
        'orphan_lectures', private.purge(
            'public.lectures', 'created_at', '1 hour',
            'not exists (select from public.user_lectures as u where u.lecture_id = t.id)'
        )
    );
$$;

comment on function private.purge_lectures() is 'Deletes what this room no longer keeps; how many rows went, by name.';
