-- The lines of a Socratic session. Learners write their own while it is open; the service writes the agent's. Nobody
-- edits a line.

create table public.socratic_messages (
    id uuid primary key default gen_random_uuid(),
    session_id uuid not null,
    seq bigint generated always as identity,
    role public.message_role not null,
    content text not null,
    audio_url text,
    transcript text,
    has_transcript boolean generated always as (transcript is not null) stored,
    metadata jsonb not null default '{}',
    occurred_at timestamptz not null default now(),
    external_id text,
    status public.message_status not null default 'complete',
    parent_id uuid,
    content_hash text,
    finish_reason text,
    error_code text,
    model text,
    prompt_version text,
    metrics jsonb not null default '{}',
    audio_seconds numeric,
    created_at timestamptz not null default now(),

    constraint socratic_messages_session_id_fkey
        foreign key (session_id) references public.socratic_sessions(id) on delete cascade,
    constraint socratic_messages_content_check check (char_length(content) <= 100000),
    constraint socratic_messages_audio_url_check check (char_length(audio_url) <= 2000),
    constraint socratic_messages_transcript_check check (char_length(transcript) <= 100000),
    constraint socratic_messages_metadata_check check (jsonb_typeof(metadata) = 'object'),
    constraint socratic_messages_session_id_external_id_key unique (session_id, external_id),
    constraint socratic_messages_id_session_id_key unique (id, session_id),
    constraint socratic_messages_parent_id_fkey
        foreign key (parent_id, session_id) references public.socratic_messages(id, session_id)
        on delete set null (parent_id),
    constraint socratic_messages_external_id_check check (char_length(external_id) between 1 and 255),
    constraint socratic_messages_content_hash_check check (char_length(content_hash) <= 128),
    constraint socratic_messages_finish_reason_check check (char_length(finish_reason) <= 100),
    constraint socratic_messages_error_code_check check (char_length(error_code) <= 100),
    constraint socratic_messages_model_check check (char_length(model) <= 200),
    constraint socratic_messages_prompt_version_check check (char_length(prompt_version) <= 100),
    constraint socratic_messages_metrics_check check (jsonb_typeof(metrics) = 'object'),
    constraint socratic_messages_audio_seconds_check check (audio_seconds >= 0)
);

-- for a session in order
create index idx_socratic_messages_session_id on public.socratic_messages (session_id, seq);
-- for the answer to a line
create index idx_socratic_messages_parent_id on public.socratic_messages (parent_id, session_id);
-- one answer at a time; also for the sweep of answers whose writer died
create unique index uq_socratic_messages_streaming on public.socratic_messages (session_id) where status = 'streaming';
-- for the sweep of files
create index idx_socratic_messages_audio_url on public.socratic_messages (audio_url) where audio_url is not null;

comment on table public.socratic_messages is 'Lines of Socratic dialogues.';
comment on column public.socratic_messages.id is 'Identity of the row.';
comment on column public.socratic_messages.session_id is 'The dialogue.';
comment on column public.socratic_messages.seq is 'Order within a session.';
comment on column public.socratic_messages.role is 'Who speaks.';
comment on column public.socratic_messages.content is 'What was said, as text.';
comment on column public.socratic_messages.audio_url is 'Bucket and key of the spoken line in Storage.';
comment on column public.socratic_messages.transcript is 'Of a spoken line: what was understood.';
comment on column public.socratic_messages.has_transcript is 'Whether a transcript is there.';
comment on column public.socratic_messages.metadata is 'More about the line that needs no column.';
comment on column public.socratic_messages.occurred_at is 'When it was said.';
comment on column public.socratic_messages.external_id is
    'The sender''s own id of the line, so that sending it again changes nothing.';
comment on column public.socratic_messages.status is 'Whether the text is complete.';
comment on column public.socratic_messages.parent_id is 'Of an agent''s line: the line that it answers.';
comment on column public.socratic_messages.content_hash is
    'Hash of the line as the service received it; tells a repeat from another line.';
comment on column public.socratic_messages.finish_reason is 'Why the model stopped, as it says.';
comment on column public.socratic_messages.error_code is 'Of a failed line of the agent: a code of docs/errors.md.';
comment on column public.socratic_messages.model is 'The model that wrote the line.';
comment on column public.socratic_messages.prompt_version is 'Version of the prompt file used.';
comment on column public.socratic_messages.metrics is
    'Counts and cost of the line; keys as headstart_runs.metrics, and what was wrong with its first draft.';
comment on column public.socratic_messages.audio_seconds is 'Length of a spoken line, in seconds.';
comment on column public.socratic_messages.created_at is 'When the row was written.';

create trigger trg_socratic_messages_files after update of audio_url or delete on public.socratic_messages
for each row execute function private.enqueue_storage_deletion('audio_url');
