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
    created_at timestamptz not null default now(),

    constraint socratic_messages_session_id_fkey
        foreign key (session_id) references public.socratic_sessions(id) on delete cascade,
    constraint socratic_messages_content_check check (char_length(content) <= 100000),
    constraint socratic_messages_audio_url_check check (char_length(audio_url) <= 2000),
    constraint socratic_messages_transcript_check check (char_length(transcript) <= 100000),
    constraint socratic_messages_metadata_check check (jsonb_typeof(metadata) = 'object')
);

-- for a session in order
create index idx_socratic_messages_session_id on public.socratic_messages (session_id, seq);

comment on table public.socratic_messages is 'Lines of Socratic dialogues.';
comment on column public.socratic_messages.id is 'Identity of the row.';
comment on column public.socratic_messages.session_id is 'The dialogue.';
comment on column public.socratic_messages.seq is 'Order within a session.';
comment on column public.socratic_messages.role is 'Who speaks.';
comment on column public.socratic_messages.content is 'What was said, as text.';
comment on column public.socratic_messages.audio_url is 'Where the spoken line is stored.';
comment on column public.socratic_messages.transcript is 'Of a spoken line: what was understood.';
comment on column public.socratic_messages.has_transcript is 'Whether a transcript is there.';
comment on column public.socratic_messages.metadata is 'More about the line that needs no column.';
comment on column public.socratic_messages.occurred_at is 'When it was said.';
comment on column public.socratic_messages.created_at is 'When the row was written.';
