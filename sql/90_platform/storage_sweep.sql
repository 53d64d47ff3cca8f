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
        when p_bucket = 'content' then exists (
            select from public.content_sources where storage_key = 'content/' || p_name
        )
        when p_bucket = 'socratic-audio' then exists (
            select from public.socratic_messages where audio_url = 'socratic-audio/' || p_name
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
