-- The work on a review. A row that is inserted asks for it by itself, in the same transaction, so that a learner asks
-- over REST alone. A write counts only under the lease of a running job of this review; a worker that was believed dead
-- changes nothing.

create function private.enqueue_review(p_review public.reviews)
returns uuid
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    return (
        select job_id from public.svc_enqueue_job(
            p_type => 'code_review',
            -- without the week: a job goes with its week, and a review stays
            p_payload => jsonb_build_object('review_id', p_review.id),
            p_user_id => p_review.user_id,
            p_dedupe_key => 'reviews:' || p_review.id,
            -- the job that wrote the state may not have ended yet; joined, it would never look again
            p_dedupe_mode => 'queued',
            -- GitHub may put it off more than once
            p_max_retries => 5,
            p_timeout_s => case p_review.depth when 'deep' then 3600 else 900 end
        )
    );
end
$$;

comment on function private.enqueue_review(public.reviews) is 'Enqueues the job code_review of a pending review.';

create function private.tg_reviews__review()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_usage record;
begin
    select * into v_usage from private.charge_review(new.id, new.user_id);
    if not v_usage.taken then
        perform private.refuse(
            429, 'plan_limit_reached', 'your plan allows no more code reviews at the moment',
            'Wait for Retry-After, or choose a larger plan.',
            jsonb_build_object('meter', 'code_reviews', 'used', v_usage.used, 'limit', v_usage.max_used),
            greatest(1, ceil(extract(epoch from v_usage.period_end - private.clock())))::int
        );
    end if;
    perform private.enqueue_review(new);
    return new;
end
$$;

comment on function private.tg_reviews__review() is
    'AFTER INSERT on reviews: counts the review (meter code_reviews) and enqueues the job code_review. A used up '
    'quota refuses the row with plan_limit_reached.';

create trigger trg_reviews_review after insert on public.reviews
for each row when (new.status = 'pending') execute function private.tg_reviews__review();

create function private.held_review(p_review_id uuid, p_job_id uuid, p_lease_token uuid)
returns public.reviews
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_review public.reviews;
begin
    if num_nulls(p_review_id, p_job_id, p_lease_token) > 0 then
        raise exception 'p_review_id, p_job_id and p_lease_token must not be null' using errcode = '22004';
    end if;
    select * into v_review from public.reviews where id = p_review_id for update;
    if v_review.status in ('pending', 'running') and exists (
        select from private.job_runtime as r
        join public.jobs as j on j.id = r.job_id
        where r.job_id = p_job_id and r.lease_token = p_lease_token and r.state = 'running'
            -- a job gives its key up to the one that tries the review again
            and j.dedupe_key = 'reviews:' || p_review_id
    ) then
        return v_review;
    end if;
    return null;
end
$$;

comment on function private.held_review(uuid, uuid, uuid) is
    'A review that has not ended, locked, when the lease of this job of its is still held; null otherwise.';

create function public.svc_begin_review(p_review_id uuid, p_job_id uuid, p_lease_token uuid)
returns table (github_url text, depth text, commit_sha text)
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_review public.reviews := private.held_review(p_review_id, p_job_id, p_lease_token);
begin
    if v_review.id is null then
        return;
    end if;
    update public.reviews set status = 'running' where id = p_review_id and status = 'pending';
    return query select v_review.github_url, v_review.depth::text, v_review.commit_sha;
end
$$;

comment on function public.svc_begin_review(uuid, uuid, uuid) is
    'A worker takes a review: it becomes running. Returns what the work needs; commit_sha is what an earlier attempt '
    'has fixed. No row when the review is gone or over, or the lease is lost.';

create function public.svc_note_review_commit(
    p_review_id uuid, p_job_id uuid, p_lease_token uuid, p_commit_sha text
)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if p_commit_sha is null then
        raise exception 'p_commit_sha must not be null' using errcode = '22004';
    end if;
    if (private.held_review(p_review_id, p_job_id, p_lease_token)).id is null then
        return false;
    end if;
    update public.reviews set commit_sha = p_commit_sha where id = p_review_id;
    return true;
end
$$;

comment on function public.svc_note_review_commit(uuid, uuid, uuid, text) is
    'Fixes the commit that a review reads. False when the review is gone or over, or the lease is lost: then the work '
    'should stop.';

create function public.svc_list_review_parts(p_review_id uuid)
returns table (key text, result jsonb)
language sql
stable
security definer
set search_path = ''
as $$
    select p.key, p.result from private.review_parts as p where p.review_id = p_review_id order by p.key;
$$;

comment on function public.svc_list_review_parts(uuid) is
    'What models have said of parts of a review in work, by the key of each part.';

create function public.svc_store_review_part(
    p_review_id uuid, p_job_id uuid, p_lease_token uuid, p_key text, p_result jsonb
)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if num_nulls(p_key, p_result) > 0 then
        raise exception 'p_key and p_result must not be null' using errcode = '22004';
    end if;
    if (private.held_review(p_review_id, p_job_id, p_lease_token)).id is null then
        return false;
    end if;
    insert into private.review_parts (review_id, key, result, created_at)
    values (p_review_id, p_key, p_result, private.clock())
    on conflict (review_id, key) do update set result = excluded.result, created_at = excluded.created_at;
    return true;
end
$$;

comment on function public.svc_store_review_part(uuid, uuid, uuid, text, jsonb) is
    'Keeps what a model said of a part. False when the review is gone or over, or the lease is lost.';

create function private.texts_of(p_texts jsonb)
returns text[]
language sql
immutable
set search_path = ''
as $$
    select coalesce(array_agg(text order by n), '{}')
    from jsonb_array_elements_text(
        case jsonb_typeof(p_texts) when 'array' then p_texts else '[]' end
    ) with ordinality as t (text, n);
$$;

comment on function private.texts_of(jsonb) is 'The texts of a JSON array in their order; none of anything else.';

create function public.svc_finish_review(
    p_review_id uuid,
    p_job_id uuid,
    p_lease_token uuid,
    p_result jsonb,
    p_metrics jsonb,
    p_notes jsonb
)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_week_id uuid;
    v_review public.reviews;
begin
    if num_nulls(p_result, p_metrics, p_notes) > 0 then
        raise exception 'p_result, p_metrics and p_notes must not be null' using errcode = '22004';
    end if;
    -- locked in the order in which deletions go: a person, their weeks, a job, a review
    perform from public.profiles as p join public.reviews as r on r.user_id = p.user_id
    where r.id = p_review_id for key share of p;
    -- nothing is added to an archived week
    select w.id into v_week_id from public.weeks as w join public.reviews as r on r.week_id = w.id
    where r.id = p_review_id and w.status <> 'archived' for share of w;
    perform from public.jobs where id = p_job_id for key share;
    v_review := private.held_review(p_review_id, p_job_id, p_lease_token);
    if v_review.id is null then
        return false;
    end if;
    update public.reviews
    set status = 'completed', result_json = p_result, metrics = p_metrics, commit_sha = p_result ->> 'commit_sha'
    where id = p_review_id;
    delete from private.review_parts where review_id = p_review_id;
    if v_review.week_id is not null and v_review.week_id = v_week_id then
        insert into public.engineer_notes (
            week_id, repository_url, analysis_summary, code_quality_score, recommendations, technical_debt_items,
            best_practices_followed, areas_for_improvement, content, model, prompt_version, job_id
        )
        values (
            v_week_id, p_notes ->> 'repository_url', p_notes ->> 'analysis_summary',
            (p_notes ->> 'code_quality_score')::int, coalesce(p_notes -> 'recommendations', '[]'),
            coalesce(p_notes -> 'technical_debt_items', '[]'),
            private.texts_of(p_notes -> 'best_practices_followed'),
            private.texts_of(p_notes -> 'areas_for_improvement'),
            coalesce(p_notes -> 'content', '{}') || jsonb_build_object('review_id', p_review_id),
            p_notes ->> 'model', p_notes ->> 'prompt_version', p_job_id
        );
    end if;
    return true;
end
$$;

comment on function public.svc_finish_review(uuid, uuid, uuid, jsonb, jsonb, jsonb) is
    'Completes a review and, when its week is still there and not archived, writes the week''s engineer notes out of '
    'p_notes (the columns of engineer_notes by name). False, and nothing changes, when it is gone or over, or the '
    'lease is lost.';

create function public.svc_fail_review(p_review_id uuid, p_job_id uuid, p_lease_token uuid, p_error text)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if p_error is null then
        raise exception 'p_error must not be null' using errcode = '22004';
    end if;
    if (private.held_review(p_review_id, p_job_id, p_lease_token)).id is null then
        return false;
    end if;
    -- failed is reached from running alone
    update public.reviews set status = 'running' where id = p_review_id and status = 'pending';
    update public.reviews set status = 'failed', error_message = left(p_error, 500) where id = p_review_id;
    return true;
end
$$;

comment on function public.svc_fail_review(uuid, uuid, uuid, text) is
    'Fails a review with an error that begins with a code. False when it is gone or over, or the lease is lost.';

create function public.svc_retry_review(p_user_id uuid, p_review_id uuid)
returns table (outcome text, job_id uuid, used bigint, max_used bigint, period_end timestamptz)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_week_id uuid;
    v_review public.reviews;
begin
    if num_nulls(p_user_id, p_review_id) > 0 then
        raise exception 'p_user_id and p_review_id must not be null' using errcode = '22004';
    end if;
    -- the person and the week come first, as when they are deleted
    select week_id into v_week_id from public.reviews where id = p_review_id and user_id = p_user_id;
    outcome := case private.lock_week(v_week_id, p_user_id) when 'archived' then 'archived' else 'queued' end;
    select * into v_review from public.reviews where id = p_review_id and user_id = p_user_id for update;
    if not found then
        raise exception 'the person has no review with the id in p_review_id' using errcode = 'PT404';
    end if;
    if v_review.status <> 'failed' then
        raise exception 'the review has not failed' using errcode = 'PT409', hint = 'Read its status.';
    end if;
    if outcome = 'queued' then
        select c.used, c.max_used, c.period_end, case when c.taken then 'queued' else 'limit' end
        into used, max_used, period_end, outcome
        from private.charge_review(p_review_id, p_user_id) as c;
    end if;
    if outcome = 'queued' then
        -- the newest commit, which may hold what was missing
        update public.reviews set status = 'pending', commit_sha = null where id = p_review_id
        returning * into v_review;
        delete from private.review_parts where review_id = p_review_id;
        job_id := private.enqueue_review(v_review);
    end if;
    return next;
end
$$;

comment on function public.svc_retry_review(uuid, uuid) is
    'Tries a person''s failed review again, and counts it again (meter code_reviews). outcome queued, with the job; '
    'limit when the quota is used up; archived when its week is archived: then nothing was changed. PT404 for one '
    'that is missing or not theirs, PT409 for one that has not failed.';
