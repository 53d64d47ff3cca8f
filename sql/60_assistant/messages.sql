-- The lines of a thread. Teachers write their own, over REST or through the chat service. Only service functions write
-- the assistant's (answers.sql). Nobody edits a message. The text of a running answer is in private.generation_events
-- under the message's id.

create table public.messages (
    id uuid primary key default gen_random_uuid(),
    thread_id uuid not null,
    seq bigint generated always as identity,
    role public.message_role not null,
    content text not null,
    external_id text,
    status public.message_status not null default 'complete',
    parent_id uuid,
    content_hash text,
    finish_reason text,
    error_code text,
    model text,
    prompt_version text,
    metrics jsonb not null default '{}',
    citations jsonb not null default '[]',
    created_at timestamptz not null default now(),

    constraint messages_thread_id_fkey foreign key (thread_id) references public.threads(id) on delete cascade,
    constraint messages_thread_id_external_id_key unique (thread_id, external_id),
    constraint messages_id_thread_id_key unique (id, thread_id),
    constraint messages_parent_id_fkey
        foreign key (parent_id, thread_id) references public.messages(id, thread_id) on delete set null (parent_id),
    constraint messages_content_check check (char_length(content) <= 200000),
    constraint messages_external_id_check check (char_length(external_id) between 1 and 255),
    constraint messages_content_hash_check check (char_length(content_hash) <= 128),
    constraint messages_finish_reason_check check (char_length(finish_reason) <= 100),
    constraint messages_error_code_check check (char_length(error_code) <= 100),
    constraint messages_model_check check (char_length(model) <= 200),
    constraint messages_prompt_version_check check (char_length(prompt_version) <= 100),
    constraint messages_metrics_check check (jsonb_typeof(metrics) = 'object'),
    constraint messages_citations_check check (jsonb_typeof(citations) = 'array')
);

-- for a thread in order
create index idx_messages_thread_id on public.messages (thread_id, seq);
-- for the answers to a question
create index idx_messages_parent_id on public.messages (parent_id, thread_id);
-- one answer at a time; also for the sweep of answers whose writer died
create unique index uq_messages_streaming on public.messages (thread_id) where status = 'streaming';

comment on table public.messages is
    'Lines of the teachers'' conversations with the assistant. Lines of Socratic sessions are in socratic_messages, '
    'which has other owners and rules.';
comment on column public.messages.id is 'Identity of the row.';
comment on column public.messages.thread_id is 'The conversation.';
comment on column public.messages.seq is 'Order within a thread: rows of one transaction share created_at.';
comment on column public.messages.role is 'Who speaks.';
comment on column public.messages.content is 'Markdown; of a streaming answer, what has been stored so far.';
comment on column public.messages.external_id is
    'The sender''s own id of the question, so that sending it again changes nothing.';
comment on column public.messages.status is 'Whether the text is complete.';
comment on column public.messages.parent_id is
    'Of an answer: the question it answers. A second answer to one question is a regeneration.';
comment on column public.messages.content_hash is
    'Hash of the question as the chat service received it; tells a repeat from another question.';
comment on column public.messages.finish_reason is 'Why the model stopped, as it says: stop, length or content_filter.';
comment on column public.messages.error_code is 'Of a failed answer: a code of docs/errors.md.';
comment on column public.messages.model is 'The model that answered.';
comment on column public.messages.prompt_version is 'Version of the prompt file used.';
comment on column public.messages.metrics is 'Counts and cost of the answer; keys as headstart_runs.metrics.';
comment on column public.messages.citations is 'Sources the answer names, in order.';
comment on column public.messages.created_at is 'When the row was written.';

create function private.touch_thread()
returns trigger
language plpgsql
-- security definer, because teachers may not write threads.updated_at
security definer
set search_path = ''
as $$
begin
    update public.threads set updated_at = now() where id = new.thread_id;
    return null;
end
$$;

comment on function private.touch_thread() is
    'AFTER INSERT on messages: sets updated_at of the thread, so that the thread with the newest message is listed '
    'first.';

create trigger trg_messages_touch_thread after insert on public.messages
for each row execute function private.touch_thread();
