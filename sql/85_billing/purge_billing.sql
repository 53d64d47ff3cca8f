-- What this room forgets. Called by svc_purge_expired (90_platform).

create function private.purge_billing()
returns jsonb
language sql
volatile
security definer
set search_path = ''
as $$
    -- the row stays: it is what makes a replay harmless
    with emptied as (
        update public.payment_events set payload = '{}' where id in (
            select id from public.payment_events
            where processed and payload <> '{}' and processed_at < private.clock() - interval '90 days'
            limit 5000
        )
        returning 1
    )
    select jsonb_build_object(
        'payment_events', (select count(*) from emptied),
        'usage_counters', private.purge('private.usage_counters', 'period_start', '400 days')
    );
$$;

comment on function private.purge_billing() is
    'Empties the payloads of events 90 days after they were processed, and forgets usage after 400 days; how many, by '
    'name.';
