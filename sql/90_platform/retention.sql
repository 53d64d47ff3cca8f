-- What the product forgets, and what it tidies: one function, called daily by a schedule and safe to call at any time.
-- It deletes in batches, because a request to the service has seconds; what is left goes with the next call. Education
-- records (goals, sessions, summaries, ratings, practice, questions, overrides) stay until the account goes.

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
        'public.lectures', 'downloading', 'The work on this lecture stopped before it was done.',
        '{lecture_download, lecture_transcription, lecture_ingest}', 'lecture_id'
    ) + private.fail_stuck(
        'public.reviews', 'running', 'The review stopped before it was done.', '{code_review}', 'review_id'
    ) + private.fail_stuck(
        'public.content_sources', 'processing', 'The material could not be read in time.',
        '{content_generation, document_ingest}', 'content_source_id'
    );
$$;

comment on function private.fail_stuck_rows() is 'Fails lectures, reviews and content sources that no job will finish.';

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

create function public.svc_purge_expired()
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_now constant timestamptz := private.clock();
    v_batch constant int := 5000;
    v_counts jsonb := '{}';
    v_n int;
begin
    delete from private.oauth_states where state_hash in (
        select state_hash from private.oauth_states where expires_at < v_now - interval '1 day' limit v_batch
    );
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('oauth_states', v_n);

    delete from private.lti_states where state_hash in (
        select state_hash from private.lti_states where expires_at < v_now - interval '1 day' limit v_batch
    );
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('lti_states', v_n);

    delete from private.lti_tickets where ticket_hash in (
        select ticket_hash from private.lti_tickets where expires_at < v_now - interval '1 day' limit v_batch
    );
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('lti_tickets', v_n);

    delete from private.lti_launches where id in (
        select id from private.lti_launches where expires_at < v_now - interval '1 day' limit v_batch
    );
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('lti_launches', v_n);

    -- an id reserved for an account that was never made
    delete from private.lti_identities where id in (
        select i.id from private.lti_identities as i
        where i.created_at < v_now - interval '1 day'
            and not exists (select from auth.users as u where u.id = i.user_id)
        limit v_batch
    );
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('lti_identities', v_n);

    delete from public.courses_cache where id in (
        select id from public.courses_cache where cached_at < v_now - interval '24 hours' limit v_batch
    );
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('courses_cache', v_n);

    v_counts := v_counts || jsonb_build_object('jobs', private.purge_jobs());

    -- the documents stay
    delete from public.headstart_runs where id in (
        select id from public.headstart_runs
        where status in ('succeeded', 'failed', 'cancelled') and created_at < v_now - interval '180 days' limit v_batch
    );
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('headstart_runs', v_n);

    delete from private.generation_events where (stream_id, seq) in (
        select stream_id, seq from private.generation_events where at < v_now - interval '1 day' limit v_batch
    );
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('generation_events', v_n);

    delete from public.notifications where id in (
        select id from public.notifications
        where coalesce(dismissed_at, sent_at) < v_now - interval '90 days' limit v_batch
    );
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('notifications', v_n);

    delete from public.nudges where id in (
        select id from public.nudges where created_at < v_now - interval '400 days' limit v_batch
    );
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('nudges', v_n);

    -- the row stays: it is what makes a replay harmless
    update public.payment_events set payload = '{}' where id in (
        select id from public.payment_events
        where processed and payload <> '{}' and processed_at < v_now - interval '90 days' limit v_batch
    );
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('payment_events', v_n);

    delete from private.storage_deletions where id in (
        select id from private.storage_deletions where done_at < v_now - interval '30 days' limit v_batch
    );
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('storage_deletions', v_n);

    delete from private.idempotency_keys where (user_id, route, key) in (
        select user_id, route, key from private.idempotency_keys where expires_at <= v_now limit v_batch
    );
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('idempotency_keys', v_n);

    delete from private.rate_buckets where (bucket, window_start) in (
        select bucket, window_start from private.rate_buckets where window_end < v_now limit v_batch
    );
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('rate_buckets', v_n);

    perform set_config('app.purging_audit_log', 'yes', true);
    delete from private.audit_log where id in (
        select id from private.audit_log where occurred_at < v_now - interval '7 years' limit v_batch
    );
    get diagnostics v_n = row_count;
    perform set_config('app.purging_audit_log', '', true);
    v_counts := v_counts || jsonb_build_object('audit_log', v_n);

    -- access stopped with the day; this makes the state say so
    update public.tutor_student_assignments set status = 'completed'
    where status in ('active', 'paused') and end_date < (v_now at time zone 'UTC')::date;
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('assignments_ended', v_n);

    -- a lecture that nobody was ever linked to; the last unlinking deletes by itself
    delete from public.lectures where id in (
        select l.id from public.lectures as l
        where l.created_at < v_now - interval '1 hour'
            and not exists (select from public.user_lectures as u where u.lecture_id = l.id)
        limit v_batch
        for update skip locked
    );
    get diagnostics v_n = row_count;
    v_counts := v_counts || jsonb_build_object('orphan_lectures', v_n);

    return v_counts || jsonb_build_object('stuck_rows', public.svc_sweep_generations());
end
$$;

comment on function public.svc_purge_expired() is
    'Deletes what is past its time (at most 5000 rows a table and call), ends assignments, sweeps orphans and stuck '
    'rows; returns the counts by name.';
