-- Tables, functions and views of the room 50_lectures.
-- Touches: 50_lectures. Undo: drop what it creates, newest first; nothing in it destroys data.

set lock_timeout = '5s';

-- Values stand in the order of the life cycle, not of the alphabet.

create type public.lecture_status as enum ('pending', 'downloading', 'completed', 'failed');
comment on type public.lecture_status is
    'pending: waits for a worker. downloading. completed: audio and transcript are stored. failed: can be tried again.';

create type public.document_status as enum ('uploaded', 'failed');
comment on type public.document_status is 'uploaded: the file is stored. failed: it is not, and can be uploaded again.';

-- One spelling of a course code, so that a student's 'csc173-01' and the catalogue's 'CSC 173' are one course. Applying
-- it twice changes nothing, which the check of catalog_courses.code relies on.
--
-- Codes of the usual form, two to five letters and a number of three digits, lose everything after it: sections are
-- written in too many ways to name them. Other codes lose trailing sections after their first number alone.

create function public.normalize_course_code(p_code text)
returns text
language sql
immutable
strict
parallel safe
set search_path = ''
as $$
    select coalesce(
        (regexp_match(plain.code, usual.form))[1] || ' ' || (regexp_match(plain.code, usual.form))[2],
        regexp_replace(
            btrim(
                course.head
                || regexp_replace(substr(plain.code, length(course.head) + 1), '( ?- ?[0-9]+[A-Z]*)+$', '')
            ),
            '^([[:alpha:]]+)([0-9])', '\1 \2'
        )
    )
    from (select upper(btrim(regexp_replace(p_code, '\s+', ' ', 'g'))) as code) as plain
    cross join (values ('^([A-Z]{2,5})[ -]?([0-9]{3}[A-Z]?)(?![0-9A-Z])')) as usual (form)
    -- letters, the first number, and what follows it up to a hyphen; the whole code when there is no number
    cross join lateral (select coalesce(substring(plain.code from '^[^0-9]*[0-9][^-]*'), plain.code) as head) as course;
$$;

comment on function public.normalize_course_code(text) is
    'Trimmed, upper case, single blanks. Letters and three digits at the head are the whole code, with one blank '
    'between them; other codes lose a trailing section (-<digits><letters>).';

-- The courses of the school, to which lectures and documents belong. svc_sync_catalog writes the official ones; people
-- add one that is missing by ensure_catalog_course. A person's Canvas course is another table, courses.

create table public.catalog_courses (
    id uuid primary key default gen_random_uuid(),
    code text not null,
    title text not null,
    instructor text,
    is_official boolean not null default false,
    created_by uuid,
    retired_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint uq_courses_code unique (code),
    constraint catalog_courses_created_by_fkey
        foreign key (created_by)
        references public.profiles(user_id) on delete set null,
    constraint catalog_courses_code_check
        check (code = public.normalize_course_code(code) and char_length(code) between 1 and 50),
    constraint catalog_courses_title_check check (char_length(btrim(title)) >= 1 and char_length(title) <= 500),
    constraint catalog_courses_instructor_check check (char_length(instructor) <= 500)
);

create index idx_catalog_courses_created_by on public.catalog_courses (created_by);

comment on table public.catalog_courses is 'A course of the school.';
comment on column public.catalog_courses.id is 'Key.';
comment on column public.catalog_courses.code is 'Course code, normalised.';
comment on column public.catalog_courses.title is 'Its title.';
comment on column public.catalog_courses.instructor is 'Who teaches it.';
comment on column public.catalog_courses.is_official is
    'Whether the school''s list contains it; then only staff may edit it.';
comment on column public.catalog_courses.created_by is 'Who added it, if a person did.';
comment on column public.catalog_courses.retired_at is 'When it left the school''s list while still in use here.';
comment on column public.catalog_courses.created_at is 'When it was added.';
comment on column public.catalog_courses.updated_at is 'When the row last changed.';

create trigger trg_catalog_courses_columns before update on public.catalog_courses
for each row execute function private.keep_columns('title', 'instructor');
create trigger trg_catalog_courses_updated_at before update on public.catalog_courses
for each row execute function public.set_updated_at();

alter table public.courses
add constraint courses_catalog_course_id_fkey
    foreign key (catalog_course_id)
    references public.catalog_courses(id) on delete set null;

-- A recorded lecture, stored once however many people follow it (user_lectures). The lecture service writes it; only
-- people with a link see it. It is deleted with its last link, and its files are put into private.storage_deletions.

create function private.is_fetchable(p_url text)
returns boolean
language sql
immutable
strict
parallel safe
set search_path = ''
as $$
    select p_url ~ '^https://[^/]' or p_url ~ '^http://(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]+)?([/?#]|$)';
$$;

comment on function private.is_fetchable(text) is
    'Whether an address is https, or http at a loopback host. Functions refuse loopback hosts outside APP_ENV=local.';

create table public.lectures (
    id uuid primary key default gen_random_uuid(),
    catalog_course_id uuid not null,
    panopto_host text not null,
    panopto_session_id text,
    panopto_url text not null,
    stream_url text not null,
    title text,
    audio_storage_key text,
    transcript_storage_key text,
    duration_seconds int,
    status public.lecture_status not null default 'pending',
    progress jsonb not null default '{}',
    error_message text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint lectures_catalog_course_id_panopto_host_panopto_session_id_key
        unique (catalog_course_id, panopto_host, panopto_session_id),
    constraint lectures_catalog_course_id_fkey
        foreign key (catalog_course_id)
        references public.catalog_courses(id) on delete restrict,
    constraint lectures_panopto_host_check
        check (panopto_host ~ '^[a-z0-9.:\[\]-]+$' and char_length(panopto_host) <= 260),
    constraint lectures_panopto_session_id_check check (char_length(panopto_session_id) between 1 and 200),
    constraint lectures_panopto_url_check check (
        private.is_fetchable(panopto_url) and char_length(panopto_url) <= 2000
    ),
    constraint lectures_stream_url_check check (
        private.is_fetchable(stream_url) and char_length(stream_url) <= 4000
    ),
    constraint lectures_title_check check (char_length(title) <= 500),
    constraint lectures_duration_seconds_check check (duration_seconds >= 0),
    constraint lectures_progress_check check (jsonb_typeof(progress) = 'object'),
    constraint lectures_error_message_check check (char_length(error_message) <= 500)
);

create unique index uq_lectures_panopto_url on public.lectures (catalog_course_id, panopto_url)
where panopto_session_id is null;
create index idx_lectures_catalog_course_id on public.lectures (catalog_course_id, status);
-- for the sweep of lectures whose job is gone
create index idx_lectures_created_at on public.lectures (created_at) where status in ('pending', 'downloading');

comment on table public.lectures is 'A recorded lecture of a course.';
comment on column public.lectures.id is 'Key; also the name of its files.';
comment on column public.lectures.catalog_course_id is 'Which course of the school.';
comment on column public.lectures.panopto_host is
    'Installation of Panopto: lower case, with the port unless it is 443. The same session id at two hosts is two '
    'lectures.';
comment on column public.lectures.panopto_session_id is
    'Id of the session at that host, lower case, where the address has one.';
comment on column public.lectures.panopto_url is 'Page of the recording, as submitted.';
comment on column public.lectures.stream_url is
    'Address of the media, which the server determines; never taken from a client.';
comment on column public.lectures.title is 'Title.';
comment on column public.lectures.audio_storage_key is 'audio/{id}.m4a, once stored.';
comment on column public.lectures.transcript_storage_key is 'transcripts/{id}.json, once stored.';
comment on column public.lectures.duration_seconds is 'Its length in seconds.';
comment on column public.lectures.status is 'Its state.';
comment on column public.lectures.progress is
    'How far the work is: {stage, done, total}. Everybody with a link reads it.';
comment on column public.lectures.error_message is 'A safe sentence about why it failed.';
comment on column public.lectures.created_at is 'When it was first submitted.';
comment on column public.lectures.updated_at is 'When the row last changed.';

create function private.clear_lecture()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if new.status = 'failed' then
        -- half a lecture is none; trg_lectures_storage_update queues the files
        new.audio_storage_key := null;
        new.transcript_storage_key := null;
    elsif new.status = 'pending' then
        new.error_message := null;
    end if;
    return new;
end
$$;

comment on function private.clear_lecture() is
    'BEFORE UPDATE on lectures when status changes: clears the files of a failed one, and the error of one that is '
    'tried again.';

create trigger trg_lectures_clear before update of status on public.lectures
for each row when (old.status is distinct from new.status)
execute function private.clear_lecture();

create trigger trg_lectures_status before insert or update of status on public.lectures
for each row execute function private.enforce_transition(
    'status', '>pending', 'pending>downloading', 'pending>failed', 'downloading>completed', 'downloading>failed',
    'failed>pending'
);

create trigger trg_lectures_updated_at before update on public.lectures
for each row execute function public.set_updated_at();

create trigger trg_lectures_storage_delete after delete on public.lectures
for each row execute function private.enqueue_storage_deletion('audio_storage_key', 'transcript_storage_key');

-- a condition and not "update of": another trigger clears the keys, and "update of" sees only columns that are set
create trigger trg_lectures_storage_update after update on public.lectures
for each row when (
    old.audio_storage_key is distinct from new.audio_storage_key
    or old.transcript_storage_key is distinct from new.transcript_storage_key
)
execute function private.enqueue_storage_deletion('audio_storage_key', 'transcript_storage_key');

-- Who follows which lecture. A link is the right to see the lecture, so only svc_submit_lecture makes links; people may
-- delete their own.

create table public.user_lectures (
    user_id uuid not null,
    lecture_id uuid not null,
    created_at timestamptz not null default now(),
    primary key (user_id, lecture_id),
    constraint user_lectures_user_id_fkey
        foreign key (user_id)
        references public.profiles(user_id) on delete cascade,
    constraint user_lectures_lecture_id_fkey
        foreign key (lecture_id)
        references public.lectures(id) on delete cascade
);

create index idx_user_lectures_lecture_id on public.user_lectures (lecture_id);

comment on table public.user_lectures is 'A person''s link to a lecture.';
comment on column public.user_lectures.user_id is 'Who follows it.';
comment on column public.user_lectures.lecture_id is 'Which lecture.';
comment on column public.user_lectures.created_at is 'Since when.';

create function private.my_lectures()
returns uuid[]
language sql
stable
security definer
set search_path = ''
as $$
    select coalesce(array_agg(lecture_id), '{}') from public.user_lectures where user_id = (select private.caller_id());
$$;

comment on function private.my_lectures() is 'The lectures the caller follows, for the policy of lectures.';

create function private.delete_orphan_lecture()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    -- a new link holds a key share lock on the lecture: this waits for it and then sees it, or it waits for this and
    -- fails
    perform from public.lectures where id = old.lecture_id for update;
    delete from public.lectures as l
    where l.id = old.lecture_id
        and not exists (select from public.user_lectures as u where u.lecture_id = l.id);
    return null;
end
$$;

comment on function private.delete_orphan_lecture() is
    'AFTER DELETE on user_lectures: deletes the lecture when the link was its last one, whatever its status.';

create trigger trg_user_lectures_orphan after delete on public.user_lectures
for each row execute function private.delete_orphan_lecture();

-- A file that a person uploaded for a course. The documents service writes it, and counts and hashes the bytes itself;
-- the person may rename or delete it. Deleting a row puts the file into private.storage_deletions.

create table public.documents (
    id uuid primary key default gen_random_uuid(),
    owner_id uuid not null,
    catalog_course_id uuid not null,
    filename text not null,
    storage_key text not null,
    checksum text not null,
    mime_type text not null,
    size_bytes bigint not null,
    page_count int,
    description text,
    status public.document_status not null default 'uploaded',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint documents_owner_id_catalog_course_id_checksum_key unique (owner_id, catalog_course_id, checksum),
    constraint documents_storage_key_key unique (storage_key),
    constraint documents_owner_id_fkey
        foreign key (owner_id)
        references public.profiles(user_id) on delete cascade,
    constraint documents_catalog_course_id_fkey
        foreign key (catalog_course_id)
        references public.catalog_courses(id) on delete restrict,
    constraint documents_filename_check check (char_length(filename) between 1 and 255),
    constraint documents_storage_key_check check (char_length(storage_key) between 1 and 500),
    constraint documents_checksum_check check (checksum ~ '^[0-9a-f]{64}$'),
    constraint documents_mime_type_check check (char_length(mime_type) between 1 and 255),
    constraint documents_size_bytes_check check (size_bytes >= 0),
    constraint documents_page_count_check check (page_count >= 0),
    constraint documents_description_check check (char_length(description) <= 5000)
);

create index idx_documents_catalog_course_id on public.documents (catalog_course_id);
create index idx_documents_checksum on public.documents (checksum);

comment on table public.documents is 'A person''s file for a course.';
comment on column public.documents.id is 'Key; also the name of the file.';
comment on column public.documents.owner_id is 'Whose file.';
comment on column public.documents.catalog_course_id is 'The course of the school it is for.';
comment on column public.documents.filename is 'The name that the person gave it.';
comment on column public.documents.storage_key is 'documents/{id}.pdf.';
comment on column public.documents.checksum is
    'SHA-256 of the bytes, 64 hex digits; the same file is stored once per person and course.';
comment on column public.documents.mime_type is 'Its type, which the server determines.';
comment on column public.documents.size_bytes is 'Its size in bytes.';
comment on column public.documents.page_count is 'The number of its pages, if it has pages.';
comment on column public.documents.description is 'What it is about.';
comment on column public.documents.status is 'Whether the file is stored.';
comment on column public.documents.created_at is 'When it was uploaded.';
comment on column public.documents.updated_at is 'When the row last changed.';

create trigger trg_documents_columns before update on public.documents
for each row execute function private.keep_columns('filename');
create trigger trg_documents_status before insert or update of status on public.documents
for each row execute function private.enforce_transition(
    'status', '>uploaded', '>failed', 'uploaded>failed', 'failed>uploaded'
);

create trigger trg_documents_updated_at before update on public.documents
for each row execute function public.set_updated_at();

create trigger trg_documents_storage after delete on public.documents
for each row execute function private.enqueue_storage_deletion('storage_key');

create function private.ensure_catalog_course(p_code text, p_title text)
returns public.catalog_courses
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_caller constant uuid := private.require_caller();
    v_code constant text := public.normalize_course_code(p_code);
    v_course public.catalog_courses;
begin
    if p_code is null or p_title is null then
        raise exception 'p_code and p_title must not be null' using errcode = '22004';
    end if;
    if v_code = '' or char_length(v_code) > 50 or btrim(p_title) = '' or char_length(p_title) > 500 then
        raise exception 'p_code must have 1 to 50 characters once normalised, and p_title 1 to 500'
            using errcode = '22023';
    end if;
    insert into public.catalog_courses (code, title, created_by)
    values (v_code, btrim(p_title), v_caller)
    on conflict (code) do nothing;
    select * into v_course from public.catalog_courses where code = v_code;
    return v_course;
end
$$;

comment on function private.ensure_catalog_course(text, text) is 'Behind public.ensure_catalog_course().';

create function public.ensure_catalog_course(p_code text, p_title text)
returns public.catalog_courses
language sql
volatile
set search_path = ''
begin atomic
    select private.ensure_catalog_course(p_code, p_title);
end;

comment on function public.ensure_catalog_course(text, text) is
    'The course with this code, however it is spelled. When there is none, makes one that is not official, with this '
    'title. 22023 for an empty or overlong code or title.';

create function public.svc_submit_lecture(
    p_user_id uuid,
    p_catalog_course_id uuid,
    p_panopto_url text,
    p_panopto_host text,
    p_panopto_session_id text,
    p_stream_url text,
    p_title text default null
)
returns table (lecture_id uuid, created boolean)
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_host constant text := regexp_replace(lower(btrim(p_panopto_host)), '\.?(:443)?$', '');
    v_session_id constant text := nullif(lower(btrim(p_panopto_session_id)), '');
    v_lecture public.lectures;
begin
    if num_nulls(p_user_id, p_catalog_course_id, p_panopto_url, p_panopto_host, p_stream_url) > 0 then
        raise exception 'only p_panopto_session_id and p_title may be null' using errcode = '22004';
    end if;
    if not private.is_fetchable(p_panopto_url) or not private.is_fetchable(p_stream_url) then
        raise exception 'p_panopto_url and p_stream_url must be https addresses' using errcode = '22023';
    end if;
    if v_host !~ '^[a-z0-9.:\[\]-]+$' then
        raise exception 'p_panopto_host must be a host, with a port where it has one' using errcode = '22023';
    end if;
    if not exists (select from public.profiles where user_id = p_user_id)
        or not exists (select from public.catalog_courses where id = p_catalog_course_id) then
        raise exception 'no person has the id in p_user_id, or no course the one in p_catalog_course_id'
            using errcode = 'PT404';
    end if;

    created := false;
    loop
        -- the lock keeps the lecture while its last link may be deleted
        select * into v_lecture from public.lectures as l
        where l.catalog_course_id = p_catalog_course_id
            and (
                (l.panopto_host = v_host and l.panopto_session_id = v_session_id)
                or (v_session_id is null and l.panopto_session_id is null and l.panopto_url = p_panopto_url)
            )
        for update;
        exit when found;
        insert into public.lectures (
            catalog_course_id, panopto_host, panopto_session_id, panopto_url, stream_url, title
        )
        values (p_catalog_course_id, v_host, v_session_id, p_panopto_url, p_stream_url, p_title)
        on conflict do nothing
        returning * into v_lecture;
        if found then
            created := true;
            exit;
        end if;
    end loop;

    if v_lecture.status = 'failed' then
        update public.lectures set status = 'pending', stream_url = p_stream_url
        where id = v_lecture.id returning * into v_lecture;
    end if;
    insert into public.user_lectures (user_id, lecture_id) values (p_user_id, v_lecture.id) on conflict do nothing;
    if v_lecture.status <> 'completed' then
        perform public.svc_enqueue_job(
            p_type => 'lecture_download',
            p_payload => jsonb_build_object('lecture_id', v_lecture.id),
            -- nobody's: many people wait for one lecture, and none of them may take the work along when they go
            p_dedupe_key => 'lecture:' || v_lecture.id
        );
    end if;
    lecture_id := v_lecture.id;
    return next;
end
$$;

comment on function public.svc_submit_lecture(uuid, uuid, text, text, text, text, text) is
    'Links a person to the lecture at an address, making it if it is new. Enqueues its download (payload '
    '{lecture_id}) unless it is stored; a failed one is tried again. The same course, host and session id, or the '
    'same address where there is no id, is the same lecture; case and port 443 do not count. PT404 when the person or '
    'the course does not exist, 22023 for addresses that are not https.';

create function public.svc_sync_catalog(p_courses jsonb, p_max_removed numeric default 0.20)
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_live bigint;
    v_missing bigint;
    v_restored bigint;
    v_codes text[];
    v_counts jsonb;
    v_deleted bigint;
    v_retired bigint;
begin
    if p_courses is null or p_max_removed is null then
        raise exception 'p_courses and p_max_removed must not be null' using errcode = '22004';
    end if;
    perform private.check_number('p_max_removed', p_max_removed, 0, 1);
    if jsonb_typeof(p_courses) <> 'array' or jsonb_array_length(p_courses) = 0 then
        raise exception 'p_courses must be a JSON array with at least one course' using errcode = '22023';
    end if;
    if exists (
        select from jsonb_array_elements(p_courses) as c
        where jsonb_typeof(c) <> 'object'
            or coalesce(jsonb_typeof(c -> 'code'), '') <> 'string'
            or coalesce(jsonb_typeof(c -> 'title'), '') <> 'string'
            or char_length(public.normalize_course_code(c ->> 'code')) not between 1 and 50
            or btrim(c ->> 'title') = '' or char_length(c ->> 'title') > 500
            or coalesce(jsonb_typeof(c -> 'instructor'), 'null') not in ('string', 'null')
            or char_length(c ->> 'instructor') > 500
    ) then
        raise exception 'p_courses: every course needs a code of 1 to 50 characters and a title of 1 to 500'
            using errcode = '22023';
    end if;
    -- one sync at a time: two would retire each other's courses
    perform pg_advisory_xact_lock(hashtextextended('svc_sync_catalog', 0));

    select array_agg(distinct public.normalize_course_code(c ->> 'code')) into v_codes
    from jsonb_array_elements(p_courses) as c;
    select count(*), count(*) filter (where code <> all (v_codes)) into v_live, v_missing
    from public.catalog_courses where is_official and retired_at is null;
    if v_missing > v_live * p_max_removed then
        raise exception 'p_courses lacks % of % official courses, so nothing was changed', v_missing, v_live
            using errcode = '22023', hint = 'Check the source, or pass a larger p_max_removed.';
    end if;

    select count(*) into v_restored from public.catalog_courses where code = any (v_codes) and retired_at is not null;
    with given as (
        -- of two spellings of one code, the last one counts
        select distinct on (code) code, title, instructor
        from (
            select
                public.normalize_course_code(c ->> 'code') as code, btrim(c ->> 'title') as title,
                c ->> 'instructor' as instructor, position
            from jsonb_array_elements(p_courses) with ordinality as t (c, position)
        ) as list
        order by code, position desc
    ),
    written as (
        insert into public.catalog_courses as existing (code, title, instructor, is_official)
        select code, title, instructor, true from given
        on conflict (code) do update
        set title = excluded.title, instructor = coalesce(excluded.instructor, existing.instructor),
            is_official = true, retired_at = null
        where (existing.title, existing.instructor, existing.is_official, existing.retired_at)
            is distinct from (excluded.title, coalesce(excluded.instructor, existing.instructor), true, null)
        -- a row that existed was locked first, and xmax shows it
        returning existing.xmax = 0 as is_new
    )
    select jsonb_build_object(
        'inserted', count(*) filter (where is_new),
        'updated', count(*) filter (where not is_new) - v_restored,
        'restored', v_restored,
        'unchanged', cardinality(v_codes) - count(*)
    ) into v_counts from written;

    update public.catalog_courses set retired_at = private.clock()
    where is_official and retired_at is null and code <> all (v_codes);
    get diagnostics v_retired = row_count;
    -- First the locks, then a new snapshot: this waits for lectures that are just being added to one of the courses.
    perform from public.catalog_courses
    where is_official and retired_at <= private.clock() - interval '1 year' order by id for update;
    delete from public.catalog_courses as c
    where c.is_official and c.retired_at <= private.clock() - interval '1 year'
        and not exists (select from public.lectures where catalog_course_id = c.id)
        and not exists (select from public.documents where catalog_course_id = c.id)
        and not exists (select from public.courses where catalog_course_id = c.id)
        and not exists (select from public.classes where catalog_course_id = c.id);
    get diagnostics v_deleted = row_count;
    return v_counts || jsonb_build_object('deleted', v_deleted, 'retired', v_retired);
end
$$;

comment on function public.svc_sync_catalog(jsonb, numeric) is
    'Makes the official courses equal to the school''s list [{code, title, instructor?}]. A course that left the list '
    'is retired, and deleted a year later when nothing uses it. One that returns is no longer retired, and one that '
    'people had added becomes official. Returns the counts inserted, updated, restored, unchanged, retired and '
    'deleted. 22023, and nothing changes, for an empty or malformed list, or when more than p_max_removed (0 to 1, '
    'else 22003) of the official courses that are not retired are missing.';

-- What this room forgets. Called by svc_purge_expired (90_platform).

create function private.purge_lectures()
returns jsonb
language sql
volatile
security definer
set search_path = ''
as $$
    select jsonb_build_object(
        -- a lecture that nobody was ever linked to; the last unlinking deletes by itself
        'orphan_lectures', private.purge(
            'public.lectures', 'created_at', '1 hour',
            'not exists (select from public.user_lectures as u where u.lecture_id = t.id)'
        )
    );
$$;

comment on function private.purge_lectures() is 'Deletes what this room no longer keeps; how many rows went, by name.';
