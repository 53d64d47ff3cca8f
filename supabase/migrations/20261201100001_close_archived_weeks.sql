-- Code reviews count on the meter code_reviews, archived weeks accept nothing more, and learners are told of a review that
-- is ready and of a week that begins.
-- Touches: 00_foundation, 40_planner, 60_assistant, 70_programme, 85_billing. Undo: drop the triggers trg_*_week,
-- trg_weeks_final and trg_reviews_settle, restore the functions of the migrations before, and drop what is new here.
-- The two values of notification_type stay.

set lock_timeout = '5s';

alter type public.notification_type add value if not exists 'review_ready';
alter type public.notification_type add value if not exists 'week_started';

comment on column private.usage_counters.meter is
    'What is counted, with its unit: document_mb (1 MiB each, begun ones count), lecture_minutes, generated_content, '
    'questions, code_reviews.';

create function private.refuse(
    p_status int,
    p_code text,
    p_message text,
    p_hint text,
    p_details jsonb default null,
    p_retry_after_s int default null
)
returns void
language plpgsql
stable
set search_path = ''
as $$
begin
    -- how PostgREST is told a status, a header and our own code; it takes details as text only
    raise sqlstate 'PGRST' using
        message = jsonb_build_object(
            'code', p_code, 'message', p_message, 'details', p_details::text, 'hint', p_hint
        )::text,
        detail = jsonb_build_object(
            'status', p_status,
            'headers', jsonb_strip_nulls(jsonb_build_object('Retry-After', p_retry_after_s::text))
        )::text;
end
$$;

comment on function private.refuse(int, text, text, text, jsonb, int) is
    'Refuses what a client asks over REST, with a status and a code of docs/errors.md. The functions of the service '
    'return outcomes instead: they could not tell such a refusal from a fault.';

create function private.lock_week(p_week_id uuid, p_user_id uuid)
returns public.week_status
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    perform from public.profiles where user_id = p_user_id for key share;
    return (select status from public.weeks where id = p_week_id and user_id = p_user_id for share);
end
$$;

comment on function private.lock_week(uuid, uuid) is
    'The status of a person''s week, which is neither deleted nor archived until the transaction ends. Null when it '
    'is missing or not theirs.';

create function private.refuse_archived_week()
returns void
language sql
stable
set search_path = ''
as $$
    select private.refuse(
        409, 'week_archived', 'the week is archived: it can be read, and nothing is added to it', 'Choose a newer week.'
    );
$$;

comment on function private.refuse_archived_week() is 'Refuses a client''s write to an archived week.';

create function private.keep_archived_week()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    -- a whole row may be sent back as it was read
    if to_jsonb(new) - 'updated_at' is distinct from to_jsonb(old) - 'updated_at' then
        perform private.refuse_archived_week();
    end if;
    return new;
end
$$;

comment on function private.keep_archived_week() is
    'BEFORE UPDATE on weeks, of an archived one by a client: refuses every change with week_archived.';

-- the database's own writes pass: a course that is deleted leaves the weeks that it was linked to
create trigger trg_weeks_final before update on public.weeks
for each row when (old.status = 'archived' and current_user in ('authenticated', 'app_admin'))
execute function private.keep_archived_week();

create function private.check_week_is_open()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_week_id uuid;
    v_user_id uuid;
begin
    if tg_table_name = 'socratic_messages' then
        select week_id, user_id into v_week_id, v_user_id from public.socratic_sessions where id = new.session_id;
    else
        v_week_id := new.week_id;
        v_user_id := new.user_id;
    end if;
    -- of other people's weeks nothing is told: policies refuse the row. Nobody calls when the service writes
    if coalesce(private.caller_id(), v_user_id) = v_user_id
        and private.lock_week(v_week_id, v_user_id) = 'archived'
    then
        perform private.refuse_archived_week();
    end if;
    return new;
end
$$;

comment on function private.check_week_is_open() is
    'BEFORE INSERT on what belongs to a week, and before a Socratic session is renamed: refuses an archived week with '
    'week_archived.';

-- an anonymous sign-in calls as nobody, too, and policies refuse it
create trigger trg_socratic_sessions_week before insert or update of topic, voice_enabled on public.socratic_sessions
for each row when (current_user not in ('authenticated', 'app_admin') or private.caller_id() is not null)
execute function private.check_week_is_open();
create trigger trg_socratic_messages_week before insert on public.socratic_messages
for each row when (current_user not in ('authenticated', 'app_admin') or private.caller_id() is not null)
execute function private.check_week_is_open();
create trigger trg_reviews_week before insert on public.reviews
for each row when (
    new.week_id is not null
    and (current_user not in ('authenticated', 'app_admin') or private.caller_id() is not null)
)
execute function private.check_week_is_open();

create table private.review_charges (
    review_id uuid primary key,
    period_start timestamptz not null,
    constraint review_charges_review_id_fkey foreign key (review_id) references public.reviews(id) on delete cascade
);

comment on table private.review_charges is 'Reviews in work that count on the meter code_reviews.';
comment on column private.review_charges.review_id is 'Which review.';
comment on column private.review_charges.period_start is 'The period of the quota it was taken from.';

create function private.charge_review(p_review_id uuid, p_user_id uuid)
returns table (taken boolean, used bigint, max_used bigint, period_end timestamptz)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_usage record;
begin
    select * into v_usage from public.svc_take_usage(p_user_id, 'code_reviews', 1);
    if v_usage.taken then
        insert into private.review_charges (review_id, period_start) values (p_review_id, v_usage.period_start);
    end if;
    return query select v_usage.taken, v_usage.used, v_usage.max_used, v_usage.period_end;
end
$$;

comment on function private.charge_review(uuid, uuid) is
    'Counts a review on its person''s meter code_reviews, and remembers the period. taken false: the quota is used up.';

create function private.settle_review()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_period timestamptz;
begin
    -- Who is being deleted needs neither. To wait for the deletion would be a deadlock: it wants this review.
    perform from public.profiles where user_id = new.user_id for key share skip locked;
    if not found then
        return null;
    end if;
    delete from private.review_charges where review_id = new.id returning period_start into v_period;
    if found and new.status = 'failed' then
        perform public.svc_return_usage(new.user_id, 'code_reviews', 1, v_period);
    end if;
    if new.status = 'completed' then
        insert into public.notifications (user_id, type, status, title, body, payload, event_key, created_at)
        values (
            new.user_id, 'review_ready', 'sent', 'Your code review is ready', new.github_url,
            jsonb_strip_nulls(jsonb_build_object('review_id', new.id, 'week_id', new.week_id)),
            'review_ready:' || new.id, private.clock()
        )
        on conflict (user_id, event_key) where event_key is not null do nothing;
    end if;
    return null;
end
$$;

comment on function private.settle_review() is
    'AFTER UPDATE of status on reviews that end: a failed one gives its quota back, and of a completed one its person '
    'is told once.';

create trigger trg_reviews_settle after update of status on public.reviews
for each row when (old.status is distinct from new.status and new.status in ('completed', 'failed'))
execute function private.settle_review();

alter table private.review_charges enable row level security;

create policy nobody on private.review_charges for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.review_charges is
    'Closed on purpose: only the service''s definer functions use it.';

create or replace function private.tg_reviews__review()
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

create or replace function public.svc_finish_review(
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

drop function public.svc_retry_review(uuid, uuid);

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

grant execute on function public.svc_retry_review(uuid, uuid) to service_role;

create or replace function private.mark_note_read(p_kind text, p_id uuid)
returns timestamptz
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_caller constant uuid := private.require_caller();
    v_week public.weeks;
    v_read_at timestamptz;
begin
    if p_kind is null or p_id is null then
        raise exception 'p_kind and p_id must not be null' using errcode = '22004';
    end if;
    if p_kind not in ('clo', 'engineer') then
        raise exception 'p_kind must be clo or engineer' using errcode = '22023';
    end if;
    -- the person and the week come before the note, as when one of them is deleted
    perform from public.profiles where user_id = v_caller for key share;
    select * into v_week from public.weeks as w
    where w.user_id = v_caller
        and w.id = case p_kind
            when 'clo' then (select week_id from public.clo_notes where id = p_id)
            else (select week_id from public.engineer_notes where id = p_id)
        end
    for no key update;
    if p_kind = 'clo' then
        select read_at into v_read_at from public.clo_notes where id = p_id and week_id = v_week.id for update;
    else
        select read_at into v_read_at from public.engineer_notes where id = p_id and week_id = v_week.id for update;
    end if;
    if not found then
        raise exception 'no note of yours has the id in p_id' using errcode = 'PT404';
    end if;
    if v_read_at is not null then
        return v_read_at;
    end if;
    if v_week.status = 'archived' then
        perform private.refuse_archived_week();
    end if;
    v_read_at := private.clock();
    if p_kind = 'clo' then
        update public.clo_notes set read_at = v_read_at where id = p_id;
    else
        update public.engineer_notes set read_at = v_read_at where id = p_id;
    end if;
    perform private.measure_week(v_week.id);
    return v_read_at;
end
$$;

comment on function private.mark_note_read(text, uuid) is 'Behind public.mark_note_read().';

comment on function public.mark_note_read(text, uuid) is
    'Records that the caller read a note of their week and returns when: the first time stays. p_kind is clo or '
    'engineer. PT404 for another person''s, 22023 for another kind; week_archived for one that was not read before '
    'its week was archived.';

create or replace function private.lock_own_week(p_week_id uuid, p_user_id uuid)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_status public.week_status;
begin
    if num_nulls(p_week_id, p_user_id) > 0 then
        raise exception 'p_week_id and p_user_id must not be null' using errcode = '22004';
    end if;
    v_status := private.lock_week(p_week_id, p_user_id);
    if v_status is null then
        raise exception 'the person has no week with the id in p_week_id' using errcode = 'PT404';
    end if;
    if v_status = 'archived' then
        raise exception 'the week is archived' using errcode = 'PT409';
    end if;
end
$$;

comment on function private.lock_own_week(uuid, uuid) is
    'Keeps a person''s week from being deleted or archived until the transaction ends. PT404 when it is missing or '
    'not theirs, PT409 when it is archived.';

drop function public.svc_begin_week_notes(uuid, uuid, text[], text);

create function public.svc_begin_week_notes(
    p_week_id uuid, p_user_id uuid, p_kinds text[], p_repository_url text default null
)
returns table (
    outcome text, job_id uuid, review_id uuid, used bigint, max_used bigint, period_end timestamptz
)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_kinds text[];
    v_refusal text;
begin
    if p_kinds is null then
        raise exception 'p_kinds must not be null' using errcode = '22004';
    end if;
    if p_kinds = '{}' or not p_kinds <@ '{clo, engineer}'::text[] then
        raise exception 'p_kinds must have clo, engineer or both' using errcode = '22023';
    end if;
    -- one job for each call: a transaction fills a person's slots once
    if p_repository_url is not null and p_kinds <> '{engineer}' then
        raise exception 'p_repository_url is for p_kinds engineer alone' using errcode = '22023';
    end if;
    perform private.lock_own_week(p_week_id, p_user_id);
    outcome := 'queued';
    if p_repository_url is not null then
        select r.id into review_id from public.reviews as r
        where r.week_id = p_week_id and r.github_url = p_repository_url and r.status in ('pending', 'running')
        order by r.created_at limit 1;
        if not found then
            begin
                -- its end writes the notes of the week
                insert into public.reviews (user_id, week_id, github_url)
                values (p_user_id, p_week_id, p_repository_url)
                returning id into review_id;
            exception when sqlstate 'PGRST' then
                -- the trigger that counts reviews allows no more
                get stacked diagnostics v_refusal = message_text;
                outcome := 'limit';
                used := (v_refusal::jsonb ->> 'details')::jsonb -> 'used';
                select t.max_used, t.period_end into max_used, period_end
                from private.usage_terms(p_user_id, 'code_reviews') as t;
                return next;
                return;
            end;
        end if;
        select j.id into job_id from public.jobs as j
        where j.dedupe_key = 'reviews:' || review_id and j.status in ('queued', 'running');
    elsif 'engineer' = any (p_kinds)
        and not exists (select from public.reviews where week_id = p_week_id and status = 'completed')
    then
        outcome := 'repository_needed';
    else
        v_kinds := array(select distinct kind from unnest(p_kinds) as kind order by kind);
        select e.job_id into job_id from public.svc_enqueue_job(
            p_type => 'week_notes', p_payload => jsonb_build_object('kinds', v_kinds), p_user_id => p_user_id,
            p_week_id => p_week_id, p_dedupe_key => format('week_notes:%s:%s', p_week_id, array_to_string(v_kinds, '+'))
        ) as e;
    end if;
    return next;
end
$$;

comment on function public.svc_begin_week_notes(uuid, uuid, text[], text) is
    'Asks for notes on a person''s week. With a repository, engineer notes are written at the end of a review, which '
    'is made, or joined when it is under way; job_id is the review''s. outcome repository_needed or limit: nothing '
    'was changed, because the week has no completed review, or the meter code_reviews is used up. PT404, PT409 as '
    'private.lock_own_week, 23514 for an address that is no repository.';

grant execute on function public.svc_begin_week_notes(uuid, uuid, text[], text) to service_role;

create or replace function private.lock_week_of_job(p_job_id uuid, p_lease_token uuid)
returns uuid
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_user_id uuid;
    v_week_id uuid;
    v_status public.week_status;
begin
    if num_nulls(p_job_id, p_lease_token) > 0 then
        raise exception 'p_job_id and p_lease_token must not be null' using errcode = '22004';
    end if;
    select user_id, week_id into v_user_id, v_week_id from public.jobs where id = p_job_id;
    v_status := private.lock_week(v_week_id, v_user_id);
    perform from public.jobs where id = p_job_id for key share;
    if found and exists (
        select from private.job_runtime
        where job_id = p_job_id and lease_token = p_lease_token and state = 'running'
    ) then
        if v_status = 'archived' then
            raise exception 'the week is archived' using errcode = 'PT409';
        end if;
        return v_week_id;
    end if;
    return null;
end
$$;

comment on function private.lock_week_of_job(uuid, uuid) is
    'The week of a job, kept from being deleted and archived, when the job''s lease is still held; null otherwise. '
    'PT409 when it is archived.';

comment on function public.svc_store_clo_note(uuid, uuid, jsonb, text, text) is
    'Stores the note that a job wrote about its week, with the columns of clo_notes by name, and returns its id. A '
    'second call of the job changes nothing. Null when the week is gone or the lease is lost, PT409 when it is '
    'archived.';

comment on function public.svc_store_brand_package(uuid, uuid, jsonb, text, text) is
    'Stores the package that a job wrote about its week, with the columns of brand_packages by name, and returns its '
    'id. A second call of the job changes nothing. Null when the week is gone or the lease is lost, PT409 when it is '
    'archived.';

create or replace function public.svc_advance_weeks(p_limit int default 200)
returns table (activated int, completed int)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_now constant timestamptz := private.clock();
    -- no zone is ahead of this one: narrows the scan before each learner's zone is asked
    v_latest constant date := (v_now at time zone 'Pacific/Kiritimati')::date;
    v_ids uuid[];
begin
    if p_limit is null or p_limit not between 1 and 1000 then
        raise exception 'p_limit must be between 1 and 1000' using errcode = '22003';
    end if;
    v_ids := array(
        select w.id from public.weeks as w join public.profiles as p on p.user_id = w.user_id
        where w.status = 'planned' and w.start_date <= v_latest
            and w.start_date <= (v_now at time zone p.timezone)::date
        order by w.start_date, w.id limit p_limit
        for key share of p skip locked for no key update of w skip locked
    );
    update public.weeks set status = 'active' where id = any (v_ids);
    activated := cardinality(v_ids);
    insert into public.notifications (user_id, type, status, title, body, payload, event_key, created_at)
    select
        w.user_id, 'week_started', 'sent', 'Your week begins',
        concat_ws(e'\n', 'Week ' || w.week_number, nullif(w.focus_area, '')),
        jsonb_build_object('week_id', w.id, 'start_date', w.start_date, 'end_date', w.end_date),
        'week_started:' || w.id, v_now
    from public.weeks as w join public.profiles as p on p.user_id = w.user_id
    -- of a week that was missed there is nothing to tell
    where w.id = any (v_ids) and w.end_date >= (v_now at time zone p.timezone)::date
    order by w.user_id, w.id
    on conflict (user_id, event_key) where event_key is not null do nothing;
    v_ids := array(
        select w.id from public.weeks as w join public.profiles as p on p.user_id = w.user_id
        where w.status = 'active' and w.end_date < v_latest and w.end_date < (v_now at time zone p.timezone)::date
            -- somebody has more to do
            and (w.reopened_at is null or w.reopened_at <= v_now - interval '24 hours')
        order by w.end_date, w.id limit p_limit
        for key share of p skip locked for no key update of w skip locked
    );
    perform private.measure_week(id) from unnest(v_ids) as id;
    update public.weeks set status = 'completed' where id = any (v_ids);
    completed := cardinality(v_ids);
    return next;
end
$$;

comment on function public.svc_advance_weeks(int) is
    'Activates planned weeks from their first day on and completes active ones after their last, by the learner''s '
    'time zone; at most p_limit of each. Learners are told once of a week that begins, unless it is over. A week that '
    'was reopened by hand is not completed within 24 hours.';

create or replace function public.svc_begin_socratic(
    p_session_id uuid,
    p_user_id uuid,
    p_external_id text,
    p_content text,
    p_content_hash text,
    p_message_id uuid default null,
    p_audio_url text default null,
    p_audio_seconds numeric default null
)
returns table (user_message_id uuid, assistant_message_id uuid, outcome text)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_week_status public.week_status;
    v_session public.socratic_sessions;
    v_line public.socratic_messages;
    v_answer public.socratic_messages;
begin
    if p_session_id is null or p_user_id is null or p_external_id is null or p_content is null
        or p_content_hash is null then
        raise exception 'p_session_id, p_user_id, p_external_id, p_content and p_content_hash must not be null'
            using errcode = '22004';
    end if;
    perform private.check_number('p_audio_seconds', p_audio_seconds, 0, 86400);
    v_week_status := private.lock_week(
        (select week_id from public.socratic_sessions where id = p_session_id and user_id = p_user_id), p_user_id
    );
    -- one line at a time: the second waits here, then sees the first
    select * into v_session from public.socratic_sessions
    where id = p_session_id and user_id = p_user_id for update;
    if not found then
        raise exception 'no session of this learner has the id in p_session_id' using errcode = 'PT404';
    end if;

    select * into v_line from public.socratic_messages
    where session_id = p_session_id and external_id = p_external_id;
    if found then
        if v_line.content_hash <> p_content_hash then
            return query select v_line.id, null::uuid, 'conflict';
            return;
        end if;
        select * into v_answer from public.socratic_messages
        where parent_id = v_line.id and session_id = p_session_id and role = 'assistant'
        order by seq desc limit 1;
        if found and (v_answer.status <> 'failed' or v_session.ended_at is not null or v_week_status = 'archived') then
            return query select v_line.id, v_answer.id, 'existing';
            return;
        end if;
    end if;

    if v_week_status = 'archived' then
        return query select null::uuid, null::uuid, 'archived';
        return;
    end if;
    if v_session.ended_at is not null then
        return query select null::uuid, null::uuid, 'ended';
        return;
    end if;
    select * into v_answer from public.socratic_messages where session_id = p_session_id and status = 'streaming';
    if found then
        return query select v_line.id, v_answer.id, 'busy';
        return;
    end if;

    if v_line.id is null then
        insert into public.socratic_messages (
            id, session_id, role, content, external_id, content_hash, audio_url, audio_seconds, occurred_at
        )
        values (
            coalesce(p_message_id, gen_random_uuid()), p_session_id, 'user', p_content, p_external_id, p_content_hash,
            p_audio_url, p_audio_seconds, private.clock()
        )
        returning * into v_line;
    end if;
    insert into public.socratic_messages (session_id, role, content, status, parent_id, occurred_at)
    values (p_session_id, 'assistant', '', 'streaming', v_line.id, private.clock())
    returning * into v_answer;
    perform public.svc_append_generation(
        v_answer.id, 1, array[jsonb_build_object('type', 'start', 'messageId', v_answer.id)]
    );
    -- nobody's, as the assistant's answers are
    perform public.svc_enqueue_job(
        p_type => 'socratic_answer',
        p_payload => jsonb_build_object('message_id', v_answer.id, 'session_id', p_session_id),
        p_dedupe_key => 'socratic_answer:' || v_answer.id
    );
    return query select v_line.id, v_answer.id, 'new';
end
$$;

comment on function public.svc_begin_socratic(uuid, uuid, text, text, text, uuid, text, numeric) is
    'Stores a learner''s line and the agent''s empty, streaming one, begins its stream and enqueues its job (type '
    'socratic_answer, payload {message_id, session_id}). A spoken line has its key in Storage in p_audio_url, its '
    'length in p_audio_seconds, and no content until it is transcribed; p_message_id becomes its id. outcome new; '
    'existing when it was sent before (with the stored or live answer; after a failed one it is new again); conflict '
    'when the external id has other content; busy when another answer is being written, ended when the session has '
    'ended and archived when its week is archived (nothing is stored). PT404 when the learner has no such session.';

create or replace function public.svc_sweep_generations()
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_row record;
    v_count int := 0;
begin
    for v_row in
        select m.id from public.messages as m
        where m.status = 'streaming' and m.created_at < private.clock() - interval '1 minute'
            -- a part of the last minute shows that a worker is still writing
            and not exists (
                select from private.generation_events as e
                where e.stream_id = m.id and e.at >= private.clock() - interval '1 minute'
            )
            and m.id::text <> all ((select private.live_job_keys('{chat_answer}', 'message_id'))::text[])
        order by m.id
    loop
        v_count := v_count + private.close_answer(v_row.id, 'interrupted')::int;
    end loop;

    -- a failed or cancelled job is proof enough; where no job is found, an hour must have passed
    for v_row in
        select h.id from public.headstart_runs as h
        where h.status in ('queued', 'running')
            and h.id::text <> all ((select private.live_job_keys('{headstart}', 'run_id'))::text[])
            and (
                coalesce(h.started_at, h.created_at) < private.clock() - interval '1 hour'
                or exists (
                    select from public.jobs as j
                    join private.job_runtime as r on r.job_id = j.id
                    where j.user_id = h.user_id
                        and j.status in ('failed', 'cancelled')
                        and j.type = 'headstart'
                        and r.payload ->> 'run_id' = h.id::text
                )
            )
        for update of h skip locked
    loop
        perform public.svc_finish_headstart_run(
            v_row.id, 'failed', null, 'interrupted: the work stopped before it was done', '{}'
        );
        v_count := v_count + 1;
    end loop;
    v_count := v_count + private.sweep_questions() + private.fail_stuck_rows();
    -- at the end: it locks a learner's slots, and whoever begins work counts it on a meter before they take slots
    return v_count + private.sweep_socratic();
end
$$;

comment on function public.svc_sweep_generations() is
    'Ends what no live job will finish: answers of the assistant and of the companion (interrupted, keeping the text '
    'so far), headstart runs, lectures, reviews and content sources (failed), and idle Socratic sessions; returns how '
    'many. Called by workers every few seconds and by svc_purge_expired.';
