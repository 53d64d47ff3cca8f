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
    language text,
    status public.lecture_status not null default 'pending',
    ingest_status public.ingest_status not null default 'pending',
    progress jsonb not null default '{}',
    error_message text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    captions_storage_key text,
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
    constraint lectures_language_check check (language ~ '^[a-z]{2,3}$'),
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
comment on column public.lectures.panopto_url is 'Page of the recording: its viewer, where the session is known.';
comment on column public.lectures.stream_url is
    'Address of the media, which the server determines; never taken from a client.';
comment on column public.lectures.title is 'Title.';
comment on column public.lectures.audio_storage_key is 'audio/{id}.m4a, once stored.';
comment on column public.lectures.transcript_storage_key is 'transcripts/{id}.json, once stored.';
comment on column public.lectures.captions_storage_key is 'transcripts/{id}.vtt, the same as WebVTT, once stored.';
comment on column public.lectures.duration_seconds is 'Its length in seconds.';
comment on column public.lectures.language is 'Language spoken in it, as a code of two or three letters (en, de).';
comment on column public.lectures.status is 'Its state.';
comment on column public.lectures.ingest_status is 'How far its transcript is for the search.';
comment on column public.lectures.progress is
    'How far the work is: {stage, done, total}. Everybody with a link reads it.';
comment on column public.lectures.error_message is 'Why it failed: a code, a colon and a safe sentence.';
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
        new.captions_storage_key := null;
    elsif new.status = 'pending' then
        new.error_message := null;
        new.progress := '{}';
        new.ingest_status := 'pending';
    end if;
    return new;
end
$$;

comment on function private.clear_lecture() is
    'BEFORE UPDATE on lectures when status changes: clears the files of a failed one, and the error and progress of '
    'one that is tried again.';

create trigger trg_lectures_clear before update of status on public.lectures
for each row when (old.status is distinct from new.status)
execute function private.clear_lecture();

create trigger trg_lectures_status before insert or update of status on public.lectures
for each row execute function private.enforce_transition(
    'status', '>pending', 'pending>downloading', 'pending>failed', 'downloading>completed', 'downloading>failed',
    'completed>failed', 'failed>pending'
);

create trigger trg_lectures_updated_at before update on public.lectures
for each row execute function public.set_updated_at();

create trigger trg_lectures_storage_delete after delete on public.lectures
for each row execute function private.enqueue_storage_deletion(
    'audio_storage_key', 'transcript_storage_key', 'captions_storage_key'
);

-- a condition and not "update of": another trigger clears the keys, and "update of" sees only columns that are set
create trigger trg_lectures_storage_update after update on public.lectures
for each row when (
    old.audio_storage_key is distinct from new.audio_storage_key
    or old.transcript_storage_key is distinct from new.transcript_storage_key
    or old.captions_storage_key is distinct from new.captions_storage_key
)
execute function private.enqueue_storage_deletion(
    'audio_storage_key', 'transcript_storage_key', 'captions_storage_key'
);
