-- The transcript of a tutoring session, encrypted by the service (key version, nonce and text in one envelope), or the
-- key of a stored file. Only svc functions read and write it; every reading is audited.

create table private.session_transcripts (
    session_id uuid primary key,
    transcript_enc text,
    transcript_storage_key text,
    version int not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint session_transcripts_session_id_fkey
        foreign key (session_id) references public.tutoring_sessions(id) on delete cascade,
    constraint session_transcripts_content_check check (num_nonnulls(transcript_enc, transcript_storage_key) >= 1),
    constraint session_transcripts_transcript_enc_check check (transcript_enc ~ '^v[0-9]+:'),
    constraint session_transcripts_transcript_storage_key_check check (char_length(transcript_storage_key) <= 500),
    constraint session_transcripts_version_check check (version >= 1)
);

comment on table private.session_transcripts is
    'Encrypted transcripts of tutoring sessions. Not for parents, not for staff.';
comment on column private.session_transcripts.session_id is 'The session.';
comment on column private.session_transcripts.transcript_enc is 'The transcript as an envelope v<key>:<base64url>.';
comment on column private.session_transcripts.transcript_storage_key is 'bucket/object of a stored transcript.';
comment on column private.session_transcripts.version is
    'Raised when the transcript is replaced, and not when it is encrypted again; a summary is written for one version.';
comment on column private.session_transcripts.created_at is 'When the row was written.';
comment on column private.session_transcripts.updated_at is 'When the row last changed; kept by trigger.';

create function private.mark_transcript()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    update public.tutoring_sessions set transcript_available = (tg_op = 'INSERT')
    where id = case when tg_op = 'INSERT' then new.session_id else old.session_id end;
    return null;
end
$$;

comment on function private.mark_transcript() is
    'AFTER INSERT OR DELETE on session_transcripts: sets transcript_available of the session.';

create trigger trg_session_transcripts_mark after insert or delete on private.session_transcripts
for each row execute function private.mark_transcript();
create trigger trg_session_transcripts_storage
after delete or update of transcript_storage_key on private.session_transcripts
for each row execute function private.enqueue_storage_deletion('transcript_storage_key');
create trigger trg_session_transcripts_updated_at before update on private.session_transcripts
for each row execute function public.set_updated_at();

create function public.svc_put_transcript(p_session_id uuid, p_transcript_enc text, p_storage_key text default null)
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
