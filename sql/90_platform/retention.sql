-- What the product forgets, and what it tidies: one function, called daily by a schedule and safe to call at any time.
-- It deletes in batches, because a request to the service has seconds; what is left goes with the next call. Education
-- records (goals, sessions, summaries, ratings, practice, questions, overrides) stay until the account goes.

create function private.fail_stuck_rows()
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_cutoff constant timestamptz := private.clock() - interval '1 hour';
    v_row record;
    v_count int := 0;
begin
    -- Rows whose work no live job will finish: a job ended badly since the row last changed, or nothing happened for
    -- an hour. Each state machine knows one way to failed, by way of the state in which the work runs, so a row that
    -- still waits is moved there first.
    for v_row in
        select l.id, l.status from public.lectures as l
        where l.status in ('pending', 'downloading')
            and not exists (
                select from public.jobs as j
                join private.job_runtime as r on r.job_id = j.id
                where (r.state = 'later' or r.state = 'waiting' or r.state = 'admitted')
                    and j.status in ('queued', 'running')
                    and j.type in ('lecture_download', 'lecture_transcription', 'lecture_ingest')
                    and r.payload ->> 'lecture_id' = l.id::text
            )
            and (
                l.updated_at < v_cutoff
                or exists (
                    select from public.jobs as j
                    join private.job_runtime as r on r.job_id = j.id
                    where j.status in ('failed', 'cancelled')
                        and j.type in ('lecture_download', 'lecture_transcription', 'lecture_ingest')
                        and j.completed_at >= l.updated_at
                        and j.created_at >= l.created_at
                        and r.payload ->> 'lecture_id' = l.id::text
                )
            )
        for update of l skip locked
    loop
        if v_row.status = 'pending' then
            update public.lectures set status = 'downloading' where id = v_row.id;
        end if;
        update public.lectures
        set status = 'failed', error_message = 'The work on this lecture stopped before it was done.'
        where id = v_row.id;
        v_count := v_count + 1;
    end loop;

    for v_row in
        select v.id, v.status from public.reviews as v
        where v.status in ('pending', 'running')
            and not exists (
                select from public.jobs as j
                join private.job_runtime as r on r.job_id = j.id
                where (r.state = 'later' or r.state = 'waiting' or r.state = 'admitted')
                    and j.status in ('queued', 'running')
                    and j.type in ('code_review')
                    and r.payload ->> 'review_id' = v.id::text
            )
            and (
                v.updated_at < v_cutoff
                or exists (
                    select from public.jobs as j
                    join private.job_runtime as r on r.job_id = j.id
                    where j.status in ('failed', 'cancelled')
                        and j.type in ('code_review')
                        and j.completed_at >= v.updated_at
                        and j.created_at >= v.created_at
                        and r.payload ->> 'review_id' = v.id::text
                )
            )
        for update of v skip locked
    loop
        if v_row.status = 'pending' then
            update public.reviews set status = 'running' where id = v_row.id;
        end if;
        update public.reviews set status = 'failed', error_message = 'The review stopped before it was done.'
        where id = v_row.id;
        v_count := v_count + 1;
    end loop;

    for v_row in
        select c.id, c.status from public.content_sources as c
        where c.status in ('pending', 'processing')
            and not exists (
                select from public.jobs as j
                join private.job_runtime as r on r.job_id = j.id
                where (r.state = 'later' or r.state = 'waiting' or r.state = 'admitted')
                    and j.status in ('queued', 'running')
                    and j.type in ('content_generation', 'document_ingest')
                    and r.payload ->> 'content_source_id' = c.id::text
            )
            and (
                c.updated_at < v_cutoff
                or exists (
                    select from public.jobs as j
                    join private.job_runtime as r on r.job_id = j.id
                    where j.status in ('failed', 'cancelled')
                        and j.type in ('content_generation', 'document_ingest')
                        and j.completed_at >= c.updated_at
                        and j.created_at >= c.created_at
                        and r.payload ->> 'content_source_id' = c.id::text
                )
            )
        for update of c skip locked
    loop
        if v_row.status = 'pending' then
            update public.content_sources set status = 'processing' where id = v_row.id;
        end if;
        update public.content_sources set status = 'failed', error_message = 'The material could not be read in time.'
        where id = v_row.id;
        v_count := v_count + 1;
    end loop;
    return v_count;
end
$$;

comment on function private.fail_stuck_rows() is
    'Fails lectures, reviews and content sources whose job ended badly, or that stood still for an hour without a live '
    'job; returns how many.';

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

    v_counts := v_counts || jsonb_build_object('jobs', to_jsonb(private.purge_jobs()));

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
    'Deletes what is past its time (at most 5000 rows a table and call), ends assignments, sweeps orphans and '
    'stuck rows; returns the counts by name.';
