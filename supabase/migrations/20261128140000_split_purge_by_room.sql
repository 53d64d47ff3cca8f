-- Each room keeps its own rules of what it forgets: private.purge_<room>(), called by svc_purge_expired.
-- Touches: functions only. Undo: replace svc_purge_expired by its form in create_platform, then drop private.purge and
-- private.purge_<room>; nothing in it destroys data.

set lock_timeout = '5s';

create function private.purge(p_table regclass, p_column text, p_age interval, p_condition text default 'true')
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_count int;
begin
    -- whoever holds a row is using it
    execute format(
        'delete from %1$s where ctid = any (array('
        'select t.ctid from %1$s as t where %2$s < $1 and (%3$s) limit 5000 for update skip locked))',
        p_table, p_column, p_condition
    )
    using private.clock() - p_age;
    get diagnostics v_count = row_count;
    return v_count;
end
$$;

comment on function private.purge(regclass, text, interval, text) is
    'Deletes up to 5000 rows t of a table whose column is older than this age and that fulfil the condition. Column '
    'and condition are SQL of ours, never a caller''s. Returns how many rows went.';

create function private.purge_canvas()
returns jsonb
language sql
volatile
security definer
set search_path = ''
as $$
    select jsonb_build_object(
        'oauth_states', private.purge('private.oauth_states', 'expires_at', '1 day'),
        'lti_states', private.purge('private.lti_states', 'expires_at', '1 day'),
        'lti_tickets', private.purge('private.lti_tickets', 'expires_at', '1 day'),
        'lti_launches', private.purge('private.lti_launches', 'expires_at', '1 day'),
        -- an id reserved for an account that was never made
        'lti_identities', private.purge(
            'private.lti_identities', 'created_at', '1 day',
            'not exists (select from auth.users as u where u.id = t.user_id)'
        )
    );
$$;

comment on function private.purge_canvas() is 'Deletes what this room no longer keeps; how many rows went, by name.';

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
    select jsonb_build_object('payment_events', count(*)) from emptied;
$$;

comment on function private.purge_billing() is
    'Empties the payloads of events 90 days after they were processed; how many, by name.';

create function private.purge_platform()
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_counts jsonb;
begin
    perform set_config('app.purging_audit_log', 'yes', true);
    v_counts := jsonb_build_object(
        'jobs', private.purge_jobs(),
        'storage_deletions', private.purge('private.storage_deletions', 'done_at', '30 days'),
        'idempotency_keys', private.purge('private.idempotency_keys', 'expires_at', '0'),
        'rate_buckets', private.purge('private.rate_buckets', 'window_end', '0'),
        'audit_log', private.purge('private.audit_log', 'occurred_at', '7 years')
    );
    perform set_config('app.purging_audit_log', '', true);
    return v_counts;
end
$$;

comment on function private.purge_platform() is 'Deletes what this room no longer keeps; how many rows went, by name.';

create or replace function public.svc_purge_expired()
returns jsonb
language sql
volatile
security definer
set search_path = ''
as $$
    select private.purge_canvas() || private.purge_headstart() || private.purge_planner() || private.purge_lectures()
        || private.purge_assistant() || private.purge_tutoring() || private.purge_billing() || private.purge_platform()
        || jsonb_build_object('stuck_rows', public.svc_sweep_generations());
$$;

comment on function public.svc_purge_expired() is
    'Deletes what is past its time (at most 5000 rows a table and call), ends assignments, sweeps orphans and stuck '
    'rows. Each room keeps its own rules in private.purge_<room>. Returns the counts by name.';
