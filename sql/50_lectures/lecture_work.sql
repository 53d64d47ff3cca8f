-- The work on a lecture: download, transcription, ingest. The row says which stage is next, and each stage enqueues the
-- following one in the transaction that stores its result, so a worker may be killed at any line. A write counts only
-- under the lease of a running job of this lecture; a worker that was believed dead changes nothing.

create function private.lecture_stage(p_lecture public.lectures)
returns text
language sql
immutable
set search_path = ''
as $$
    select case
        when p_lecture.status not in ('pending', 'downloading') then null
        when p_lecture.audio_storage_key is null then 'download'
        when p_lecture.transcript_storage_key is null then 'transcription'
        else 'ingest'
    end;
$$;

comment on function private.lecture_stage(public.lectures) is
    'The stage that a lecture waits for: download, transcription or ingest; null when it is completed or failed.';

create function private.continue_lecture(p_lecture public.lectures)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_stage constant text := private.lecture_stage(p_lecture);
begin
    if v_stage is null then
        return;
    end if;
    perform public.svc_enqueue_job(
        p_type => 'lecture_' || v_stage,
        p_payload => jsonb_build_object('lecture_id', p_lecture.id),
        -- nobody's: many people wait for one lecture, and none of them may take the work along when they go
        p_dedupe_key => concat_ws(':', 'lecture', p_lecture.id, nullif(v_stage, 'download')),
        -- long recordings take hours; the functions' settings limit the parts
        p_timeout_s => 14400
    );
end
$$;

comment on function private.continue_lecture(public.lectures) is
    'Enqueues the job of the stage that a lecture waits for (payload {lecture_id}), or joins the live one.';

create function private.next_lecture_job(p_lecture public.lectures, p_job_id uuid)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    -- The job is still live for a moment. Who tries the lecture again must get a new one, not join one that is done.
    update public.jobs set dedupe_key = null
    where id = p_job_id and type::text is distinct from 'lecture_' || private.lecture_stage(p_lecture);
    perform private.continue_lecture(p_lecture);
end
$$;

comment on function private.next_lecture_job(public.lectures, uuid) is
    'As continue_lecture, for a job that may have done its stage: then it gives its key up.';

create function private.held_lecture(p_lecture_id uuid, p_job_id uuid, p_lease_token uuid)
returns public.lectures
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_lecture public.lectures;
begin
    if num_nulls(p_lecture_id, p_job_id, p_lease_token) > 0 then
        raise exception 'p_lecture_id, p_job_id and p_lease_token must not be null' using errcode = '22004';
    end if;
    select * into v_lecture from public.lectures where id = p_lecture_id for update;
    if v_lecture.status in ('pending', 'downloading') and exists (
        select from private.job_runtime as r
        where r.job_id = p_job_id and r.lease_token = p_lease_token and r.state = 'running'
            and r.payload ->> 'lecture_id' = p_lecture_id::text
    ) then
        return v_lecture;
    end if;
    return null;
end
$$;

comment on function private.held_lecture(uuid, uuid, uuid) is
    'A lecture in work, locked, when the lease of this job of its is still held; null otherwise.';

create function public.svc_begin_lecture(p_lecture_id uuid, p_job_id uuid, p_lease_token uuid)
returns table (
    stage text,
    panopto_host text,
    panopto_session_id text,
    stream_url text,
    title text,
    audio_storage_key text,
    transcript_storage_key text,
    duration_seconds int,
    wait_s int
)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_lecture public.lectures := private.held_lecture(p_lecture_id, p_job_id, p_lease_token);
    v_keys constant text[] := array[
        format('audio/%s.m4a', p_lecture_id), format('transcripts/%s.json', p_lecture_id),
        format('transcripts/%s.vtt', p_lecture_id)
    ];
    v_wait_s int;
begin
    if v_lecture.id is null then
        return;
    end if;
    update public.lectures set status = 'downloading' where id = p_lecture_id and status = 'pending';
    -- Files of an earlier life of this lecture may still wait to be deleted, under the names that this work will use.
    update private.storage_deletions set done_at = private.clock()
    where storage_key = any (v_keys) and done_at is null
        and (attempts = 0 or next_attempt_at <= private.clock());
    -- one that is being deleted right now has to end first
    select ceil(extract(epoch from max(d.next_attempt_at) - private.clock()))::int into v_wait_s
    from private.storage_deletions as d where d.storage_key = any (v_keys) and d.done_at is null;
    perform private.next_lecture_job(v_lecture, p_job_id);
    return query select
        private.lecture_stage(v_lecture), v_lecture.panopto_host, v_lecture.panopto_session_id, v_lecture.stream_url,
        v_lecture.title, v_lecture.audio_storage_key, v_lecture.transcript_storage_key, v_lecture.duration_seconds,
        greatest(coalesce(v_wait_s, 0), 0);
end
$$;

comment on function public.svc_begin_lecture(uuid, uuid, uuid) is
    'A worker takes a lecture: it becomes downloading. Returns what the work needs and the stage that is next, whose '
    'job is live now; a worker of another stage is done. wait_s: so long a file of an earlier attempt may still be '
    'being deleted; ask again then. No row when the lecture is gone or over, or the lease is lost.';

create function public.svc_note_lecture_progress(
    p_lecture_id uuid, p_job_id uuid, p_lease_token uuid, p_stage text, p_done bigint, p_total bigint default null
)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if p_stage is null or p_done is null then
        raise exception 'p_stage and p_done must not be null' using errcode = '22004';
    end if;
    if p_stage not in ('downloading', 'encoding', 'transcribing', 'indexing') then
        raise exception 'p_stage must be downloading, encoding, transcribing or indexing' using errcode = '22023';
    end if;
    if (private.held_lecture(p_lecture_id, p_job_id, p_lease_token)).id is null then
        return false;
    end if;
    update public.lectures
    set progress = jsonb_build_object('stage', p_stage, 'done', p_done, 'total', p_total) where id = p_lecture_id;
    return true;
end
$$;

comment on function public.svc_note_lecture_progress(uuid, uuid, uuid, text, bigint, bigint) is
    'Shows how far the work on a lecture is. False when the lecture is gone or over, or the lease is lost: then the '
    'work should stop.';

create function private.lecture_left(p_lecture_id uuid)
returns text
language sql
stable
security definer
set search_path = ''
as $$
    select case
        when exists (select from public.lectures where id = p_lecture_id) then 'lost'
        else 'gone'
    end;
$$;

comment on function private.lecture_left(uuid) is
    'Why a write found no lecture to change: gone, so that nobody needs its files, or lost to another worker.';

create function public.svc_store_lecture_audio(
    p_lecture_id uuid,
    p_job_id uuid,
    p_lease_token uuid,
    p_storage_key text,
    p_duration_seconds int,
    p_title text default null
)
returns text
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_lecture public.lectures := private.held_lecture(p_lecture_id, p_job_id, p_lease_token);
    v_user_id uuid;
    v_minutes constant int := greatest(1, ceil(p_duration_seconds / 60.0));
    v_usage record;
begin
    if p_storage_key is null or p_duration_seconds is null then
        raise exception 'p_storage_key and p_duration_seconds must not be null' using errcode = '22004';
    end if;
    if v_lecture.id is null then
        return private.lecture_left(p_lecture_id);
    end if;
    if v_lecture.audio_storage_key is not null then
        return 'stored';
    end if;
    select user_id into v_user_id from public.user_lectures
    where lecture_id = p_lecture_id order by created_at, user_id limit 1;
    if found then
        select * into v_usage from public.svc_take_usage(v_user_id, 'lecture_minutes', v_minutes);
        if not v_usage.taken then
            return 'over_quota';
        end if;
        insert into private.lecture_charges (lecture_id, user_id, minutes, period_start)
        values (p_lecture_id, v_user_id, v_minutes, v_usage.period_start);
    end if;
    update public.lectures
    set audio_storage_key = p_storage_key, duration_seconds = p_duration_seconds,
        title = coalesce(title, nullif(left(btrim(p_title), 500), '')), progress = '{}'
    where id = p_lecture_id
    returning * into v_lecture;
    perform private.next_lecture_job(v_lecture, p_job_id);
    return 'stored';
end
$$;

comment on function public.svc_store_lecture_audio(uuid, uuid, uuid, text, int, text) is
    'Names the stored audio in its lecture, takes its minutes from the quota of the person who submitted it first, '
    'and enqueues the transcription. stored, also when it was before; over_quota; gone: no such lecture, so delete '
    'the file; lost: another worker has it.';

create function public.svc_list_lecture_pieces(p_lecture_id uuid, p_model text)
returns table (start_ms int, end_ms int, result jsonb)
language sql
stable
security definer
set search_path = ''
as $$
    select p.start_ms, p.end_ms, p.result from private.lecture_pieces as p
    where p.lecture_id = p_lecture_id and p.model = p_model order by p.start_ms;
$$;

comment on function public.svc_list_lecture_pieces(uuid, text) is
    'The pieces of a lecture that this model has transcribed, in order.';

create function public.svc_store_lecture_piece(
    p_lecture_id uuid,
    p_job_id uuid,
    p_lease_token uuid,
    p_start_ms int,
    p_end_ms int,
    p_model text,
    p_result jsonb
)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if num_nulls(p_start_ms, p_end_ms, p_model, p_result) > 0 then
        raise exception 'p_start_ms, p_end_ms, p_model and p_result must not be null' using errcode = '22004';
    end if;
    if (private.held_lecture(p_lecture_id, p_job_id, p_lease_token)).id is null then
        return false;
    end if;
    insert into private.lecture_pieces (lecture_id, start_ms, end_ms, model, result, created_at)
    values (p_lecture_id, p_start_ms, p_end_ms, p_model, p_result, private.clock())
    on conflict (lecture_id, start_ms, end_ms) do update
    set model = excluded.model, result = excluded.result, created_at = excluded.created_at;
    return true;
end
$$;

comment on function public.svc_store_lecture_piece(uuid, uuid, uuid, int, int, text, jsonb) is
    'Keeps what a model heard in a piece of a lecture. False when the lecture is gone or over, or the lease is lost.';

create function public.svc_store_lecture_transcript(
    p_lecture_id uuid,
    p_job_id uuid,
    p_lease_token uuid,
    p_transcript_key text,
    p_captions_key text,
    p_title text default null
)
returns text
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_lecture public.lectures := private.held_lecture(p_lecture_id, p_job_id, p_lease_token);
begin
    if p_transcript_key is null or p_captions_key is null then
        raise exception 'p_transcript_key and p_captions_key must not be null' using errcode = '22004';
    end if;
    if v_lecture.id is null then
        return private.lecture_left(p_lecture_id);
    end if;
    update public.lectures
    set transcript_storage_key = p_transcript_key, captions_storage_key = p_captions_key,
        title = coalesce(title, nullif(left(btrim(p_title), 500), '')), progress = '{}'
    where id = p_lecture_id
    returning * into v_lecture;
    delete from private.lecture_pieces where lecture_id = p_lecture_id;
    perform private.next_lecture_job(v_lecture, p_job_id);
    return 'stored';
end
$$;

comment on function public.svc_store_lecture_transcript(uuid, uuid, uuid, text, text, text) is
    'Names the stored transcript and captions in their lecture, forgets its pieces and enqueues the ingest. Answers '
    'as svc_store_lecture_audio.';

create function public.svc_end_lecture(
    p_lecture_id uuid,
    p_job_id uuid,
    p_lease_token uuid,
    p_error text default null,
    p_ingest_status text default null,
    p_language text default null
)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_lecture public.lectures;
begin
    if p_error is null and coalesce(p_ingest_status, '') not in ('ready', 'none', 'failed') then
        raise exception 'p_ingest_status must be ready, none or failed, or p_error given' using errcode = '22023';
    end if;
    v_lecture := private.held_lecture(p_lecture_id, p_job_id, p_lease_token);
    if v_lecture.id is null then
        return false;
    end if;
    if p_error is not null then
        update public.lectures set status = 'failed', error_message = left(p_error, 500)
        where id = p_lecture_id returning * into v_lecture;
    else
        update public.lectures
        set status = 'completed', ingest_status = p_ingest_status::public.ingest_status, language = p_language
        where id = p_lecture_id returning * into v_lecture;
    end if;
    perform private.next_lecture_job(v_lecture, p_job_id);
    return true;
end
$$;

comment on function public.svc_end_lecture(uuid, uuid, uuid, text, text, text) is
    'Ends the work on a lecture: failed with an error that begins with a code, or completed with the state of its '
    'text and its language. False, and nothing changes, when it is gone or over, or the lease is lost.';

create function public.svc_retry_lecture(p_user_id uuid, p_lecture_id uuid)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_lecture public.lectures;
begin
    if p_user_id is null or p_lecture_id is null then
        raise exception 'p_user_id and p_lecture_id must not be null' using errcode = '22004';
    end if;
    select * into v_lecture from public.lectures where id = p_lecture_id for update;
    if not exists (
        select from public.user_lectures where user_id = p_user_id and lecture_id = p_lecture_id
    ) then
        raise exception 'the person follows no lecture with the id in p_lecture_id' using errcode = 'PT404';
    end if;
    if v_lecture.status <> 'failed' then
        raise exception 'the lecture has not failed' using errcode = 'PT409', hint = 'Read its status.';
    end if;
    update public.lectures set status = 'pending' where id = p_lecture_id returning * into v_lecture;
    perform private.continue_lecture(v_lecture);
end
$$;

comment on function public.svc_retry_lecture(uuid, uuid) is
    'Tries a failed lecture again, for a person who follows it. PT404 for a missing lecture or one that the person '
    'does not follow, PT409 for one that has not failed.';
