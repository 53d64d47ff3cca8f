-- Documents: stored once for a person and course, read by a job; and the sweep of Storage, every hour: files without a
-- row are deleted, rows without their file become failed. A key that a row answers for again is not deleted.
-- Touches: 50_lectures, 90_platform. Undo: delete the schedule storage_cleanup, drop what it creates, newest first, and
-- restore svc_claim_storage_deletions(), fail_stuck_rows() and trg_lectures_status of the migrations before. No row is lost.

set lock_timeout = '5s';

comment on column public.documents.ingest_error is
    'Why its text could not be read: document_encrypted, document_unreadable, document_too_long or ingest_interrupted.';

-- for the sweep of documents whose job is gone
create index idx_documents_updated_at on public.documents (updated_at) where ingest_status = 'pending';

-- How a document gets its row. The documents service stores the file first and then calls svc_store_document; two
-- uploads of the same bytes at once end in one row.

create function private.enqueue_ingest(p_document_id uuid, p_owner_id uuid)
returns void
-- plpgsql, because the queue is made in a later room
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    perform public.svc_enqueue_job(
        p_type => 'document_ingest', p_payload => jsonb_build_object('document_id', p_document_id),
        p_user_id => p_owner_id, p_dedupe_key => 'document:' || p_document_id
    );
end
$$;

comment on function private.enqueue_ingest(uuid, uuid) is 'Asks for the job that reads a document''s text.';

create function public.svc_begin_document(p_owner_id uuid, p_catalog_course_id uuid, p_checksum text)
returns table (outcome text, document jsonb)
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_row public.documents;
begin
    if num_nulls(p_owner_id, p_catalog_course_id, p_checksum) > 0 then
        raise exception 'p_owner_id, p_catalog_course_id and p_checksum must not be null' using errcode = '22004';
    end if;
    if not exists (select from public.catalog_courses where id = p_catalog_course_id) then
        raise exception 'no course has the id in p_catalog_course_id' using errcode = 'PT404';
    end if;
    -- a work on the text that was cut short gets another chance; what the file itself made impossible does not
    update public.documents as d set ingest_status = 'pending', ingest_error = null
    where d.owner_id = p_owner_id and d.catalog_course_id = p_catalog_course_id and d.checksum = p_checksum
        and d.status = 'uploaded' and d.ingest_error = 'ingest_interrupted'
    returning * into v_row;
    if found then
        perform private.enqueue_ingest(v_row.id, v_row.owner_id);
    else
        select * into v_row from public.documents as d
        where d.owner_id = p_owner_id and d.catalog_course_id = p_catalog_course_id and d.checksum = p_checksum;
    end if;
    return query select
        case v_row.status when 'uploaded' then 'existing' when 'failed' then 'failed' else 'new' end,
        case when v_row.id is not null then to_jsonb(v_row) end;
end
$$;

comment on function public.svc_begin_document(uuid, uuid, text) is
    'Looks for a person''s document with these bytes in a course. existing: the row; a text whose reading was '
    'interrupted is read again. failed: the row whose file was lost, which is to be used again. new: there is none. '
    'PT404 when the course does not exist.';

create function public.svc_store_document(
    p_owner_id uuid,
    p_document_id uuid,
    p_catalog_course_id uuid,
    p_filename text,
    p_storage_key text,
    p_checksum text,
    p_mime_type text,
    p_size_bytes bigint
)
returns table (outcome text, document jsonb)
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_row public.documents;
    v_outcome text := 'created';
begin
    if num_nulls(
        p_owner_id, p_document_id, p_catalog_course_id, p_filename, p_storage_key, p_checksum, p_mime_type, p_size_bytes
    ) > 0 then
        raise exception 'p_owner_id, p_document_id and the other arguments must not be null' using errcode = '22004';
    end if;
    if not exists (select from public.profiles where user_id = p_owner_id)
        or not exists (select from public.catalog_courses where id = p_catalog_course_id) then
        raise exception 'no person has the id in p_owner_id, or no course the one in p_catalog_course_id'
            using errcode = 'PT404';
    end if;
    insert into public.documents (
        id, owner_id, catalog_course_id, filename, storage_key, checksum, mime_type, size_bytes
    )
    values (
        p_document_id, p_owner_id, p_catalog_course_id, p_filename, p_storage_key, p_checksum, p_mime_type, p_size_bytes
    )
    on conflict (owner_id, catalog_course_id, checksum) do nothing
    returning * into v_row;
    if found then
        -- A row that was to be used again was deleted meanwhile: its file waits to be deleted, under this very key.
        if exists (
            select from private.storage_deletions where storage_key = p_storage_key and done_at is null
        ) then
            delete from public.documents where id = p_document_id;
            return query select 'changed', null::jsonb;
            return;
        end if;
        perform private.enqueue_ingest(v_row.id, v_row.owner_id);
    else
        select * into v_row from public.documents as d
        where d.owner_id = p_owner_id and d.catalog_course_id = p_catalog_course_id and d.checksum = p_checksum
        for update;
        if v_row.id is distinct from p_document_id then
            -- another upload was first; a row that vanished or lost its file since asks for another look
            v_outcome := case v_row.status when 'uploaded' then 'existing' else 'changed' end;
        elsif v_row.status = 'failed' then
            update public.documents as d
            set status = 'uploaded', filename = p_filename, ingest_status = 'pending', ingest_error = null
            where d.id = p_document_id returning * into v_row;
            perform private.enqueue_ingest(v_row.id, v_row.owner_id);
        end if;
    end if;
    return query select v_outcome, case when v_row.id is not null then to_jsonb(v_row) end;
end
$$;

comment on function public.svc_store_document(uuid, uuid, uuid, text, text, text, text, bigint) is
    'Makes the row of a document whose file is stored under p_storage_key, and asks for the job that reads it. '
    'created: the row is p_document_id, new or used again; a repeated call says so too. existing: another row has the '
    'same bytes, and the file just stored is to be removed. changed: look again with svc_begin_document. PT404 when '
    'the person or the course does not exist.';

create function private.fail_stuck_documents()
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_count int;
begin
    -- the job ends after the row, so a row that still waits without a job was given up
    update public.documents as d set ingest_status = 'failed', ingest_error = 'ingest_interrupted'
    where d.ingest_status = 'pending' and d.status = 'uploaded'
        and d.updated_at < private.clock() - interval '10 minutes'
        and d.id::text <> all ((select private.live_job_keys('{document_ingest}', 'document_id'))::text[]);
    get diagnostics v_count = row_count;
    return v_count;
end
$$;

comment on function private.fail_stuck_documents() is
    'Fails the reading of documents that wait for ten minutes although no job will read them. Returns how many.';

drop trigger trg_lectures_status on public.lectures;
create trigger trg_lectures_status before insert or update of status on public.lectures
for each row execute function private.enforce_transition(
    'status', '>pending', 'pending>downloading', 'pending>failed', 'downloading>completed', 'downloading>failed',
    'completed>failed', 'failed>pending'
);

-- Files and rows, brought together again both ways: a file without a row goes into the outbox, a row without its file
-- becomes failed. The job storage_cleanup calls these functions every hour.
--
-- A bucket takes part when has_row knows it. The table storage.objects belongs to the platform and is only read; where
-- it is missing (plain PostgreSQL) there is nothing to do.

create function private.has_row(p_bucket text, p_name text)
returns boolean
language sql
stable
strict
security definer
set search_path = ''
as $$
    select case
        when p_bucket = 'documents' then exists (
            select from public.documents where storage_key = 'documents/' || p_name
        )
        -- a lecture's files carry its id; a failed lecture keeps none
        when p_bucket in ('audio', 'transcripts') then exists (
            select from public.lectures
            where id = substring(p_name from '^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}')::uuid
                and status <> 'failed'
        )
    end;
$$;

comment on function private.has_row(text, text) is
    'Whether a row answers for a file of a bucket. Null for buckets that are not swept.';

create function public.svc_sweep_files(p_after text default '', p_limit int default 1000)
returns table (checked int, orphaned int, last_key text)
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if p_after is null or p_limit is null then
        raise exception 'p_after and p_limit must not be null' using errcode = '22004';
    end if;
    perform private.check_number('p_limit', p_limit, 1, 5000);
    if to_regclass('storage.objects') is null then
        return query select 0, 0, null::text;
        return;
    end if;
    return query
    with batch as materialized (
        select o.bucket_id, o.name, o.created_at
        from storage.objects as o
        where (o.bucket_id, o.name collate "C") > (
            split_part(p_after, '/', 1), substring(p_after from position('/' in p_after) + 1) collate "C"
        )
        order by o.bucket_id, o.name collate "C"
        limit p_limit
    ),
    orphans as (
        insert into private.storage_deletions (storage_key, reason)
        select b.bucket_id || '/' || b.name, 'storage_cleanup: no row'
        from batch as b
        where not private.has_row(b.bucket_id, b.name)
            -- a file is stored before its row
            and b.created_at < private.clock() - interval '1 hour'
            and char_length(b.bucket_id || '/' || b.name) <= 500
        on conflict (storage_key) where done_at is null do nothing
        returning 1
    )
    select
        (select count(*)::int from batch), (select count(*)::int from orphans),
        (
            select b.bucket_id || '/' || b.name from batch as b
            order by b.bucket_id desc, b.name collate "C" desc limit 1
        );
end
$$;

comment on function public.svc_sweep_files(text, int) is
    'Looks at up to p_limit (1 to 5000) stored files after the key p_after (bucket/object), in order. Files older '
    'than an hour without a row go into the outbox. Returns how many were looked at and put there, and the last key, '
    'from which to go on; null when there are no more files.';

create function public.svc_fail_lost_files()
returns table (documents int, lectures int)
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_documents uuid[] := '{}';
    v_lectures uuid[] := '{}';
    v_stored bigint;
    v_lost bigint;
begin
    if to_regclass('storage.objects') is null then
        return query select 0, 0;
        return;
    end if;
    select coalesce(array_agg(d.id), '{}') into v_documents
    from public.documents as d
    where d.status = 'uploaded' and not exists (
        select from storage.objects as o where o.bucket_id = 'documents' and 'documents/' || o.name = d.storage_key
    );
    select coalesce(array_agg(l.id), '{}') into v_lectures
    from public.lectures as l
    where l.status = 'completed' and (
        l.audio_storage_key is not null and not exists (
            select from storage.objects as o where o.bucket_id = 'audio' and 'audio/' || o.name = l.audio_storage_key
        )
        or l.transcript_storage_key is not null and not exists (
            select from storage.objects as o
            where o.bucket_id = 'transcripts' and 'transcripts/' || o.name = l.transcript_storage_key
        )
    );
    -- so many at once are no lost files but a Storage that was not restored together with the database
    select count(*) into v_stored from storage.objects where bucket_id in ('documents', 'audio', 'transcripts');
    v_lost := cardinality(v_documents) + cardinality(v_lectures);
    if v_lost > greatest(20, v_stored / 4) then
        raise exception '% rows lack their files, % files are stored', v_lost, v_stored
            using errcode = '23514', hint = 'Restore Storage first; see docs/materials.md.';
    end if;
    update public.documents set status = 'failed' where id = any (v_documents);
    update public.lectures
    set status = 'failed', error_message = 'files_lost: The files of this lecture are gone. Try it again.'
    where id = any (v_lectures);
    return query select cardinality(v_documents), cardinality(v_lectures);
end
$$;

comment on function public.svc_fail_lost_files() is
    'Sets documents and lectures failed whose files are gone; both can be stored again. 23514, and nothing changes, '
    'when more than 20 rows and more than a quarter of the number of stored files would fail. Returns how many failed.';

insert into private.job_schedules (name, cron, next_run_at, type)
values ('storage_cleanup', '17 * * * *', private.cron_next('17 * * * *', 'UTC', now()), 'storage_cleanup');

create or replace function public.svc_claim_storage_deletions(p_limit int)
returns table (id bigint, storage_key text, reason text, attempts int)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
    if p_limit is null then
        raise exception 'p_limit must not be null' using errcode = '22004';
    end if;
    if p_limit < 1 then
        raise exception 'p_limit must be at least 1' using errcode = '22003';
    end if;
    return query
    with due as (
        select
            d.id,
            -- the row came back, such as a lecture that is tried again: its file stays, or is written anew
            coalesce(private.has_row(
                split_part(d.storage_key, '/', 1), substring(d.storage_key from position('/' in d.storage_key) + 1)
            ), false) as is_used
        from private.storage_deletions as d
        where d.done_at is null and d.next_attempt_at <= private.clock()
        order by d.enqueued_at
        limit least(p_limit, 500)
        for update skip locked
    ),
    claimed as (
        update private.storage_deletions as d set
            attempts = d.attempts + 1,
            -- this time is lease and back-off at once: no other worker gets the file before, and any may afterwards
            next_attempt_at = private.clock() + make_interval(secs => least(3600, 30 * 2 ^ least(d.attempts, 10))),
            done_at = case when due.is_used then private.clock() end
        from due
        where d.id = due.id
        returning d.id, d.storage_key, d.reason, d.attempts, due.is_used
    )
    select c.id, c.storage_key, c.reason, c.attempts from claimed as c where not c.is_used;
end
$$;

comment on function public.svc_claim_storage_deletions(int) is
    'Files to delete now, oldest first, at most 500. Each is handed out again after 30 s, doubling up to an hour, '
    'until it is finished. A file for which a row answers again is not deleted.';

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
        'public.content_sources', 'processing', 'The material could not be read in time.',
        '{content_generation, document_ingest}', 'content_source_id'
    ) + private.fail_stuck_documents();
$$;

comment on function private.fail_stuck_rows() is
    'Fails lectures, reviews, content sources and the reading of documents that no job will finish.';

-- Who may store documents: the service alone.

grant execute on function public.svc_begin_document(uuid, uuid, text) to service_role;

grant execute on function public.svc_store_document(uuid, uuid, uuid, text, text, text, text, bigint) to service_role;

-- Who may sweep: the service alone.

grant execute on function public.svc_sweep_files(text, int) to service_role;

grant execute on function public.svc_fail_lost_files() to service_role;
