-- What the product forgets, and what it tidies: svc_purge_expired, called by workers every few hours and safe to call
-- at any time. Each room keeps its own rules. Education records (goals, sessions, summaries, ratings, practice,
-- questions, overrides) stay until the account goes.

create function private.live_job_keys(p_types text[], p_key text)
returns text[]
language sql
stable
security definer
set search_path = ''
as $$
    select coalesce(array_agg(r.payload ->> p_key), '{}')
    from private.job_runtime as r
    -- spelt out, so that each state's index can be used
    where (r.state = 'later' or r.state = 'waiting' or r.state = 'ready' or r.state = 'running')
        and r.type::text = any (p_types) and r.payload ->> p_key is not null;
$$;

comment on function private.live_job_keys(text[], text) is
    'What live jobs of these types have under this key of their payload: the ids of the rows they work on.';

create function private.fail_stuck(
    p_table regclass, p_working_status text, p_message text, p_types text[], p_key text
)
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_ids uuid[];
begin
    execute format(
        $q$
        select array_agg(stuck.id) from (
            select t.id from %1$s as t
            where t.status in ('pending', %2$L) and t.id::text <> all ((select private.live_job_keys($1, %3$L))::text[])
                and (t.updated_at < $2 or exists (
                    select from public.jobs as j
                    join private.job_runtime as r on r.job_id = j.id
                    where j.status in ('failed', 'cancelled') and j.type::text = any ($1)
                        and j.completed_at >= t.updated_at and j.created_at >= t.created_at
                        and r.payload ->> %3$L = t.id::text
                ))
            for update of t skip locked
        ) as stuck
        $q$,
        p_table, p_working_status, p_key
    )
    into v_ids
    using p_types, private.clock() - interval '1 hour';
    -- these state machines reach failed only from the state in which the work runs
    execute format(
        'update %s set status = %L where id = any ($1) and status = %L', p_table, p_working_status, 'pending'
    )
    using v_ids;
    execute format('update %s set status = %L, error_message = %L where id = any ($1)', p_table, 'failed', p_message)
    using v_ids;
    return coalesce(cardinality(v_ids), 0);
end
$$;

comment on function private.fail_stuck(regclass, text, text, text[], text) is
    'Fails rows of a table that are pending or in work although no live job of these types names them under p_key: '
    'because their job ended badly since they last changed, or nothing happened for an hour. Returns how many.';

create function private.fail_stuck_rows()
returns int
language sql
volatile
security definer
set search_path = ''
as $$
    select private.fail_stuck(
        'public.lectures', 'downloading', 'interrupted: The work on this lecture stopped before it was done.',
        '{lecture_download, lecture_transcription, lecture_ingest}', 'lecture_id'
    ) + private.fail_stuck(
        'public.reviews', 'running', 'interrupted: The review stopped before it was done. Try it again.',
        '{code_review}', 'review_id'
    ) + private.fail_stuck(
        'public.content_sources', 'processing', 'interrupted: The material could not be read in time. Try again.',
        '{content_source}', 'content_source_id'
    ) + private.fail_stuck_content() + private.fail_stuck_documents() + private.fail_stuck_practice();
$$;

comment on function private.fail_stuck_rows() is
    'Fails lectures, reviews, content sources, content and practice to be written, and the reading of documents that '
    'no job will finish.';

create function private.purge_jobs()
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_now constant timestamptz := private.clock();
    v_count int;
begin
    -- whoever holds one may be trying it again
    delete from public.jobs where id = any (array(
        select id from public.jobs
        where completed_at < v_now - interval '30 days'
            and (
                status in ('succeeded', 'cancelled')
                or (status = 'failed' and completed_at < v_now - interval '90 days')
            )
        order by created_at
        limit 5000
        for update skip locked
    ));
    get diagnostics v_count = row_count;
    return v_count;
end
$$;

comment on function private.purge_jobs() is
    'Forgets jobs 30 days after success or cancellation, 90 after failure; at most 5000 a call.';

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
        'model_usage', private.purge('private.model_usage', 'at', '400 days'),
        'audit_log', private.purge('private.audit_log', 'occurred_at', '7 years')
    );
    perform set_config('app.purging_audit_log', '', true);
    return v_counts;
end
$$;

comment on function private.purge_platform() is 'Deletes what this room no longer keeps; how many rows went, by name.';

create function public.svc_purge_expired()
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
