-- Summaries of sessions: a transcript has a version, storing it asks for the summary, and the summary is stored only while
-- no tutor has corrected it and the transcript is the same. A session has one summary at most.
-- Touches: private.session_transcripts, public.summaries, public.summary_type (its comment), svc_put_transcript,
--   svc_get_transcript, and what is new in 80_tutoring/session_summaries.sql.
-- Fails, and changes nothing, when a session has two summaries: only a person can say which one stands.
-- Undo: drop the new functions, put the old ones back, drop the constraint and the column.

set lock_timeout = '5s';

alter table private.session_transcripts
add column version int not null default 1,
add constraint session_transcripts_version_check check (version >= 1);
comment on column private.session_transcripts.version is
    'Raised when the transcript is replaced, and not when it is encrypted again; a summary is written for one version.';

alter table public.summaries add constraint summaries_session_id_key unique (session_id);
comment on table public.summaries is 'Summaries of tutoring sessions, one each.';
comment on type public.summary_type is
    'normal: from a complete transcript. brief: from one of less than ten minutes. missing_transcript: from the '
    'topics of the session alone.';

create function private.ask_for_summary(p_session_id uuid, p_tutor_id uuid)
returns uuid
-- plpgsql, because the queue is made later
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    -- a running job may have read what was before, so only a waiting one is joined
    return (
        select e.job_id from public.svc_enqueue_job(
            p_type => 'session_summary', p_payload => jsonb_build_object('session_id', p_session_id),
            p_user_id => p_tutor_id, p_dedupe_key => 'session_summary:' || p_session_id, p_dedupe_mode => 'queued'
        ) as e
    );
end
$$;

comment on function private.ask_for_summary(uuid, uuid) is 'Enqueues the summary of a session; the id of the job.';

create function public.svc_request_summary(p_session_id uuid, p_tutor_id uuid)
returns uuid
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if num_nulls(p_session_id, p_tutor_id) > 0 then
        raise exception 'p_session_id and p_tutor_id must not be null' using errcode = '22004';
    end if;
    perform from public.tutoring_sessions where id = p_session_id and tutor_id = p_tutor_id;
    if not found then
        raise exception 'this tutor has no session with the id in p_session_id' using errcode = 'PT404';
    end if;
    if exists (select from public.summaries where session_id = p_session_id and overridden) then
        raise exception 'a tutor has corrected the summary' using errcode = 'PT409';
    end if;
    return private.ask_for_summary(p_session_id, p_tutor_id);
end
$$;

comment on function public.svc_request_summary(uuid, uuid) is
    'Enqueues the summary of a tutor''s session and returns the job''s id. PT404 for a session of others, PT409 when a '
    'tutor has corrected the summary.';

create function public.svc_store_summary(
    p_session_id uuid,
    p_transcript_version int,
    p_summary_type text,
    p_narrative text,
    p_next_steps text[],
    p_subjects_covered text[]
)
returns text
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_student_id uuid;
begin
    if num_nulls(p_session_id, p_summary_type, p_narrative, p_next_steps, p_subjects_covered) > 0 then
        raise exception 'only p_transcript_version may be null' using errcode = '22004';
    end if;
    if p_summary_type <> all (enum_range(null::public.summary_type)::text[]) then
        raise exception 'p_summary_type must be normal, brief or missing_transcript' using errcode = '22023';
    end if;
    if (p_summary_type = 'missing_transcript') <> (p_transcript_version is null) then
        raise exception 'p_transcript_version must be null for missing_transcript, and only for it'
            using errcode = '22023';
    end if;
    -- a transcript is stored under the same lock
    select student_id into v_student_id from public.tutoring_sessions where id = p_session_id for no key update;
    if not found then
        return 'gone';
    end if;
    if p_transcript_version is distinct from (
        select version from private.session_transcripts where session_id = p_session_id and transcript_enc is not null
    ) then
        return 'stale';
    end if;
    insert into public.summaries as s (
        session_id, student_id, summary_type, narrative, next_steps, subjects_covered
    )
    values (
        p_session_id, v_student_id, p_summary_type::public.summary_type, p_narrative, p_next_steps, p_subjects_covered
    )
    on conflict (session_id) do update set
        summary_type = excluded.summary_type,
        narrative = excluded.narrative,
        next_steps = excluded.next_steps,
        subjects_covered = excluded.subjects_covered
    -- a correction that is under way is waited for, and then seen here
    where not s.overridden;
    return case when found then 'written' else 'overridden' end;
end
$$;

comment on function public.svc_store_summary(uuid, int, text, text, text[], text[]) is
    'Stores the one summary of a session: written; overridden when a tutor has corrected it; stale when the transcript '
    'has another version, or there is one and p_transcript_version is null; gone without the session.';

create or replace function public.svc_put_transcript(p_session_id uuid, p_transcript_enc text, p_storage_key text default null)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_tutor_id uuid;
begin
    if p_session_id is null or num_nonnulls(p_transcript_enc, p_storage_key) = 0 then
        raise exception 'p_session_id, and p_transcript_enc or p_storage_key, must not be null' using errcode = '22004';
    end if;
    -- a summary is stored under the same lock, so that it is of the transcript that is there
    select tutor_id into v_tutor_id from public.tutoring_sessions where id = p_session_id for no key update;
    if not found then
        raise exception 'no session has the id in p_session_id' using errcode = 'PT404';
    end if;
    insert into private.session_transcripts as t (session_id, transcript_enc, transcript_storage_key)
    values (p_session_id, p_transcript_enc, p_storage_key)
    on conflict (session_id) do update set
        transcript_enc = excluded.transcript_enc,
        transcript_storage_key = excluded.transcript_storage_key,
        version = t.version + 1;
    if p_transcript_enc is not null then
        perform private.ask_for_summary(p_session_id, v_tutor_id);
    end if;
end
$$;

comment on function public.svc_put_transcript(uuid, text, text) is
    'Stores or replaces the encrypted transcript of a session, and enqueues its summary. A replaced file is put into '
    'the storage outbox. PT404 when the session does not exist.';

drop function public.svc_get_transcript(uuid);
create function public.svc_get_transcript(p_session_id uuid, p_reader_id uuid default null)
returns table (transcript_enc text, transcript_storage_key text, version int, updated_at timestamptz)
language plpgsql
-- volatile, because it writes to the audit log
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_student_id uuid;
begin
    select student_id into v_student_id from public.tutoring_sessions where id = p_session_id;
    if v_student_id is not null then
        perform private.write_audit(
            'read', 'session_transcripts', p_session_id::text, v_student_id,
            jsonb_build_object('reader_id', p_reader_id)
        );
    end if;
    return query
    select t.transcript_enc, t.transcript_storage_key, t.version, t.updated_at
    from private.session_transcripts as t where t.session_id = p_session_id;
end
$$;

comment on function public.svc_get_transcript(uuid, uuid) is
    'The encrypted transcript of a session, or no row. The reading is audited, for the reader p_reader_id or, without '
    'one, for the service.';

grant execute on function public.svc_get_transcript(uuid, uuid) to service_role;

grant execute on function public.svc_request_summary(uuid, uuid) to service_role;

grant execute on function public.svc_store_summary(uuid, int, text, text, text[], text[]) to service_role;
