-- Content sources are read by a job: a new row asks for it by itself, and its owner may have it read again. A source that
-- was added before has no job; the sweep fails it with a code after an hour, and its owner has it read again.
-- Touches: public.job_type, public.content_sources (a trigger), private.tg_content_sources__read,
--   private.retry_content_source, public.retry_content_source, private.fail_stuck_rows.
-- Undo: drop the trigger and the three functions, and put the old fail_stuck_rows back; the enum value stays.

set lock_timeout = '5s';

alter type public.job_type add value 'content_source';

-- A source is read by a job. A row that is inserted asks for it by itself, in the same transaction, so that a teacher
-- adds links and texts over REST alone.

create function private.tg_content_sources__read()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform public.svc_enqueue_job(
        p_type => 'content_source', p_payload => jsonb_build_object('content_source_id', new.id),
        p_user_id => new.teacher_id, p_dedupe_key => 'content_sources:' || new.id
    );
    return new;
end
$$;

comment on function private.tg_content_sources__read() is 'AFTER INSERT on content_sources: enqueues the job content_source.';

create trigger trg_content_sources_read after insert on public.content_sources
for each row when (new.status = 'pending') execute function private.tg_content_sources__read();

create function private.retry_content_source(p_id uuid)
returns uuid
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_me constant uuid := private.require_caller();
    v_source public.content_sources;
begin
    if p_id is null then
        raise exception 'p_id must not be null' using errcode = '22004';
    end if;
    select * into v_source from public.content_sources where id = p_id and teacher_id = v_me for update;
    if not found then
        raise exception 'this content source does not exist, or is not yours' using errcode = 'PT404';
    end if;
    if v_source.status not in ('failed', 'ready') then
        raise exception 'this content source is being read' using errcode = 'PT409', hint = 'Wait until it has ended.';
    end if;
    update public.content_sources set status = 'pending', error_message = null where id = p_id;
    -- the job that wrote the state may not have ended yet; joined, it would never look again
    return (
        select job_id from public.svc_enqueue_job(
            p_type => 'content_source', p_payload => jsonb_build_object('content_source_id', p_id),
            p_user_id => v_source.teacher_id, p_dedupe_key => 'content_sources:' || p_id, p_dedupe_mode => 'queued'
        )
    );
end
$$;

comment on function private.retry_content_source(uuid) is 'See public.retry_content_source.';

create function public.retry_content_source(p_id uuid)
returns uuid
language sql
volatile
set search_path = ''
begin atomic
    select private.retry_content_source(p_id);
end;

comment on function public.retry_content_source(uuid) is
    'Reads an own content source again that failed, or a link that may have changed; returns the job. 404 when it is '
    'not the caller''s, 409 while it is pending or processing.';

create or replace function private.fail_stuck_rows()
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
        'public.reviews', 'running', 'The review stopped before it was done.', '{code_review}', 'review_id'
    ) + private.fail_stuck(
        'public.content_sources', 'processing', 'interrupted: The material could not be read in time. Try again.',
        '{content_source}', 'content_source_id'
    ) + private.fail_stuck_documents();
$$;

comment on column public.content_sources.error_message is
    'Of a failed source: a code, a colon, and a sentence the teacher may read.';

grant execute on function private.retry_content_source(uuid) to authenticated;
grant execute on function public.retry_content_source(uuid) to authenticated;
