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
