-- Tables, functions and views of the room 60_assistant.
-- Touches: 60_assistant. Undo: drop what it creates, newest first; nothing in it destroys data.

set lock_timeout = '5s';

create type public.message_role as enum ('user', 'assistant', 'system');
comment on type public.message_role is
    'Who speaks: user (a person), assistant (the model), system (a note of the product). Used by the teachers'' chat '
    'and by Socratic sessions.';

create type public.message_status as enum ('complete', 'streaming', 'stopped', 'interrupted', 'failed');
comment on type public.message_status is
    'complete. streaming: being written. stopped: by the reader. interrupted: the writer died and the text so far is '
    'kept. failed: no usable answer, see error_code.';

create type public.class_status as enum ('active', 'archived');
comment on type public.class_status is 'active: taught now. archived: by the teacher; can become active again.';

create type public.content_source_kind as enum ('upload', 'url', 'canvas_page', 'canvas_file', 'text');
comment on type public.content_source_kind is
    'Where material comes from: upload (a file), url, canvas_page, canvas_file, text (typed in).';

create type public.content_source_status as enum ('pending', 'processing', 'ready', 'failed');
comment on type public.content_source_status is
    'pending: waits for its job. processing. ready: the text is extracted. failed: see error_message; can be tried '
    'again.';

create type public.generated_content_kind as enum (
    'lesson_plan', 'quiz', 'rubric', 'worksheet', 'slides', 'summary', 'other'
);
comment on type public.generated_content_kind is 'What the assistant was asked to write.';

create type public.generated_content_status as enum ('draft', 'approved', 'archived');
comment on type public.generated_content_status is 'draft: as the model wrote it. approved: by the teacher. archived.';

-- A teacher at one Canvas installation. The LTI launch and the Canvas connection write it; teachers may only correct
-- their names. The Canvas token is not here: it belongs to the teacher's integration, in the schema private.

create table public.teachers (
    id uuid primary key,
    lms_connection_id uuid not null,
    canvas_user_id text not null,
    name text,
    email text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint teachers_id_fkey foreign key (id) references public.profiles(user_id) on delete cascade,
    constraint teachers_lms_connection_id_fkey
        foreign key (lms_connection_id) references public.lms_connections(id) on delete restrict,
    constraint teachers_lms_connection_id_canvas_user_id_key unique (lms_connection_id, canvas_user_id),
    constraint teachers_canvas_user_id_check check (char_length(canvas_user_id) between 1 and 255),
    constraint teachers_name_check check (char_length(name) <= 500),
    constraint teachers_email_check check (char_length(email) <= 320)
);

comment on table public.teachers is
    'Teachers: one row per account with the role teacher, tied to a Canvas installation.';
comment on column public.teachers.id is
    'The id of the teacher''s account, so policies of this room ask for teacher_id = private.caller_id().';
comment on column public.teachers.lms_connection_id is 'The Canvas installation of the teacher''s school.';
comment on column public.teachers.canvas_user_id is 'The teacher''s id in Canvas; unique within the installation.';
comment on column public.teachers.name is 'The name as Canvas or the teacher gave it.';
comment on column public.teachers.email is 'Contact address at Canvas; signing in uses auth.users.email.';
comment on column public.teachers.created_at is 'When the row was written.';
comment on column public.teachers.updated_at is 'When the row last changed; kept by trigger.';

create trigger trg_teachers_columns before update on public.teachers
for each row execute function private.keep_columns('name');
create trigger trg_teachers_role after insert or update of id on public.teachers
for each row execute function private.check_profile_role('id', 'teacher');
create trigger trg_teachers_updated_at before update on public.teachers
for each row execute function public.set_updated_at();

-- One conversation of a teacher with the assistant. The teacher writes it over REST; its messages may also come from
-- the chat service.

create table public.threads (
    id uuid primary key default gen_random_uuid(),
    teacher_id uuid not null default private.caller_id(),
    title text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint threads_teacher_id_fkey foreign key (teacher_id) references public.teachers(id) on delete cascade,
    constraint threads_id_teacher_id_key unique (id, teacher_id),
    constraint threads_title_check check (char_length(title) <= 500)
);

-- for a teacher's list, newest first
create index idx_threads_teacher_id on public.threads (teacher_id, updated_at desc);

comment on table public.threads is 'Conversations of teachers with the assistant.';
comment on column public.threads.id is 'Identity of the row.';
comment on column public.threads.teacher_id is 'The teacher whose conversation this is.';
comment on column public.threads.title is 'Shown in the list of conversations.';
comment on column public.threads.created_at is 'When the row was written.';
comment on column public.threads.updated_at is 'When the thread or its newest message changed; kept by trigger.';

create trigger trg_threads_columns before update on public.threads
for each row execute function private.keep_columns('title');
create trigger trg_threads_updated_at before update on public.threads
for each row execute function public.set_updated_at();

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

-- Canvas courses of a teacher as last fetched with the teacher's own grant, so that the assistant need not ask Canvas
-- for each answer. The job canvas_courses_cache writes them, without enrolments and submissions; rows live 24 hours.

create table public.courses_cache (
    id uuid primary key default gen_random_uuid(),
    teacher_id uuid not null,
    canvas_course_id bigint not null,
    canvas_id text not null,
    course_data jsonb not null default '{}',
    cached_at timestamptz not null default now(),

    constraint courses_cache_canvas_id_check check (canvas_id = canvas_course_id::text),
    constraint courses_cache_teacher_id_fkey foreign key (teacher_id) references public.teachers(id) on delete cascade,
    constraint courses_cache_teacher_id_canvas_course_id_key unique (teacher_id, canvas_course_id),
    constraint courses_cache_course_data_check check (jsonb_typeof(course_data) = 'object')
);

-- for the newest of a teacher
create index idx_courses_cache_teacher_id on public.courses_cache (teacher_id, cached_at);
-- for retention
create index idx_courses_cache_cached_at on public.courses_cache (cached_at);

comment on table public.courses_cache is 'A day''s copy of each teacher''s Canvas courses.';
comment on column public.courses_cache.id is 'Identity of the row.';
comment on column public.courses_cache.teacher_id is 'Whose grant fetched it.';
comment on column public.courses_cache.canvas_course_id is 'The course''s id at the teacher''s installation.';
comment on column public.courses_cache.canvas_id is
    'The same id as text, kept equal: JavaScript rounds numbers past 2^53.';
comment on column public.courses_cache.course_data is 'The course as Canvas gave it, without other people''s records.';
comment on column public.courses_cache.cached_at is 'When it was last fetched; kept by trigger.';

create function private.refresh_cached_at()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new.cached_at := now();
    return new;
end
$$;

comment on function private.refresh_cached_at() is
    'BEFORE UPDATE on courses_cache: sets cached_at. A default acts on insert only, and an upsert may be an update.';

create trigger trg_courses_cache_text_id before insert or update of canvas_course_id, canvas_id on public.courses_cache
for each row execute function private.keep_canvas_id('canvas_course_id');
create trigger trg_courses_cache_cached_at before update on public.courses_cache
for each row execute function private.refresh_cached_at();

-- A class that a teacher prepares material for. It has no roster on purpose: teachers get no student data from us.

create table public.classes (
    id uuid primary key default gen_random_uuid(),
    teacher_id uuid not null default private.caller_id(),
    canvas_course_id bigint,
    canvas_id text,
    catalog_course_id uuid,
    name text not null,
    section text,
    term text,
    status public.class_status not null default 'active',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint classes_canvas_id_check check (canvas_id = canvas_course_id::text),
    constraint classes_teacher_id_fkey foreign key (teacher_id) references public.teachers(id) on delete cascade,
    constraint classes_catalog_course_id_fkey
        foreign key (catalog_course_id) references public.catalog_courses(id) on delete set null,
    constraint classes_teacher_id_canvas_course_id_key unique (teacher_id, canvas_course_id),
    constraint classes_id_teacher_id_key unique (id, teacher_id),
    constraint classes_name_check check (char_length(name) between 1 and 500),
    constraint classes_section_check check (char_length(section) <= 200),
    constraint classes_term_check check (char_length(term) <= 200)
);

create index idx_classes_catalog_course_id on public.classes (catalog_course_id);

comment on table public.classes is 'A teacher''s classes.';
comment on column public.classes.id is 'Identity of the row.';
comment on column public.classes.teacher_id is 'The teacher.';
comment on column public.classes.canvas_course_id is 'Its course in Canvas, at the teacher''s installation.';
comment on column public.classes.canvas_id is 'The same id as text, kept equal: JavaScript rounds numbers past 2^53.';
comment on column public.classes.catalog_course_id is 'Its course in our catalogue.';
comment on column public.classes.name is 'What the teacher calls it.';
comment on column public.classes.section is 'Section or group.';
comment on column public.classes.term is 'Term or school year.';
comment on column public.classes.status is 'active or archived.';
comment on column public.classes.created_at is 'When the row was written.';
comment on column public.classes.updated_at is 'When the row last changed; kept by trigger.';

create trigger trg_classes_columns before update on public.classes
for each row execute function private.keep_columns('name', 'section', 'term', 'status');
create trigger trg_classes_text_id before insert or update of canvas_course_id, canvas_id on public.classes
for each row execute function private.keep_canvas_id('canvas_course_id');
create trigger trg_classes_status before insert or update of status on public.classes
for each row execute function private.enforce_transition(
    'status', '>active', 'active>archived', 'archived>active'
);
create trigger trg_classes_updated_at before update on public.classes
for each row execute function public.set_updated_at();

-- Material that a teacher gives the assistant. Teachers add URLs and texts; files and Canvas pages come through the
-- service, which alone knows what it stored. Deleting a source puts its file into the storage outbox.

create table public.content_sources (
    id uuid primary key default gen_random_uuid(),
    teacher_id uuid not null default private.caller_id(),
    class_id uuid,
    kind public.content_source_kind not null,
    title text not null,
    source_url text,
    storage_key text,
    text_content text,
    checksum text,
    metadata jsonb not null default '{}',
    status public.content_source_status not null default 'pending',
    error_message text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint content_sources_teacher_id_fkey
        foreign key (teacher_id) references public.teachers(id) on delete cascade,
    constraint content_sources_class_id_fkey
        foreign key (class_id, teacher_id) references public.classes(id, teacher_id) on delete set null (class_id),
    constraint content_sources_id_teacher_id_key unique (id, teacher_id),
    constraint content_sources_body_check check (num_nonnulls(source_url, storage_key, text_content) >= 1),
    constraint content_sources_title_check check (char_length(title) between 1 and 500),
    constraint content_sources_source_url_check check (source_url ~ '^https?://' and char_length(source_url) <= 2000),
    constraint content_sources_storage_key_check check (char_length(storage_key) <= 500),
    constraint content_sources_text_content_check check (char_length(text_content) <= 2000000),
    constraint content_sources_checksum_check check (checksum ~ '^[0-9a-f]{64}$'),
    constraint content_sources_metadata_check check (jsonb_typeof(metadata) = 'object'),
    constraint content_sources_error_message_check check (char_length(error_message) <= 500)
);

create index idx_content_sources_teacher_id on public.content_sources (teacher_id);
create index idx_content_sources_class_id on public.content_sources (class_id, teacher_id);
-- for the sweep of sources whose job is gone
create index idx_content_sources_unfinished on public.content_sources (updated_at)
where status in ('pending', 'processing');

comment on table public.content_sources is 'Material of teachers: links, texts, uploaded files, Canvas pages.';
comment on column public.content_sources.id is 'Identity of the row.';
comment on column public.content_sources.teacher_id is 'The teacher.';
comment on column public.content_sources.class_id is 'The class it is for.';
comment on column public.content_sources.kind is 'Where it comes from.';
comment on column public.content_sources.title is 'Shown in lists.';
comment on column public.content_sources.source_url is 'Address of a url source, or of the page in Canvas.';
comment on column public.content_sources.storage_key is 'bucket/object of an uploaded file.';
comment on column public.content_sources.text_content is
    'Text as typed, or as extracted from the file or page. Untrusted: a model must never take it as instructions.';
comment on column public.content_sources.checksum is 'SHA-256 of the file, hex.';
comment on column public.content_sources.metadata is 'More about the source: pages, MIME type.';
comment on column public.content_sources.status is 'The state of its extraction.';
comment on column public.content_sources.error_message is 'Of a failed source: a sentence the teacher may read.';
comment on column public.content_sources.created_at is 'When the row was written.';
comment on column public.content_sources.updated_at is 'When the row last changed; kept by trigger.';

create trigger trg_content_sources_columns before update on public.content_sources
for each row execute function private.keep_columns('title', 'class_id');
create trigger trg_content_sources_status before insert or update of status on public.content_sources
for each row execute function private.enforce_transition(
    'status', '>pending', 'pending>processing', 'processing>ready', 'processing>failed', 'failed>pending',
    'ready>pending'
);
create trigger trg_content_sources_storage after delete on public.content_sources
for each row execute function private.enqueue_storage_deletion('storage_key');
create trigger trg_content_sources_updated_at before update on public.content_sources
for each row execute function public.set_updated_at();

-- What the assistant wrote for a teacher. The job content_generation writes it; the teacher edits and approves it. Its
-- class, source, thread or job may be deleted; the work stays.

create table public.generated_content (
    id uuid primary key default gen_random_uuid(),
    teacher_id uuid not null,
    class_id uuid,
    content_source_id uuid,
    thread_id uuid,
    job_id uuid,
    kind public.generated_content_kind not null,
    title text not null,
    content_md text,
    content jsonb not null default '{}',
    model text,
    prompt_version text,
    status public.generated_content_status not null default 'draft',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint generated_content_teacher_id_fkey
        foreign key (teacher_id) references public.teachers(id) on delete cascade,
    constraint generated_content_class_id_fkey
        foreign key (class_id, teacher_id) references public.classes(id, teacher_id) on delete set null (class_id),
    constraint generated_content_content_source_id_fkey
        foreign key (content_source_id, teacher_id) references public.content_sources(id, teacher_id)
        on delete set null (content_source_id),
    constraint generated_content_thread_id_fkey
        foreign key (thread_id, teacher_id) references public.threads(id, teacher_id) on delete set null (thread_id),
    constraint generated_content_title_check check (char_length(title) between 1 and 500),
    constraint generated_content_content_md_check check (char_length(content_md) <= 500000),
    constraint generated_content_content_check check (jsonb_typeof(content) = 'object'),
    constraint generated_content_model_check check (char_length(model) <= 200),
    constraint generated_content_prompt_version_check check (char_length(prompt_version) <= 100)
);

-- for a teacher's work, newest first
create index idx_generated_content_teacher_id on public.generated_content (teacher_id, created_at desc);
create index idx_generated_content_class_id on public.generated_content (class_id, teacher_id);
create index idx_generated_content_content_source_id on public.generated_content (content_source_id, teacher_id);
create index idx_generated_content_thread_id on public.generated_content (thread_id, teacher_id);
create index idx_generated_content_job_id on public.generated_content (job_id);

comment on table public.generated_content is
    'Lesson plans, quizzes, rubrics and the like that the assistant wrote for a teacher.';
comment on column public.generated_content.id is 'Identity of the row.';
comment on column public.generated_content.teacher_id is 'The teacher.';
comment on column public.generated_content.class_id is 'The class it is for.';
comment on column public.generated_content.content_source_id is 'The material it was made from.';
comment on column public.generated_content.thread_id is 'The conversation that asked for it.';
comment on column public.generated_content.job_id is 'The job that wrote it.';
comment on column public.generated_content.kind is 'What it is.';
comment on column public.generated_content.title is 'Shown in lists.';
comment on column public.generated_content.content_md is 'The work as Markdown.';
comment on column public.generated_content.content is 'The work in parts (questions of a quiz, rows of a rubric).';
comment on column public.generated_content.model is 'The model that wrote it.';
comment on column public.generated_content.prompt_version is 'Version of the prompt file used.';
comment on column public.generated_content.status is 'draft, approved or archived.';
comment on column public.generated_content.created_at is 'When the row was written.';
comment on column public.generated_content.updated_at is 'When the row last changed; kept by trigger.';

create trigger trg_generated_content_columns before update on public.generated_content
for each row execute function private.keep_columns('title', 'content_md', 'content', 'class_id', 'status');
create trigger trg_generated_content_status before insert or update of status on public.generated_content
for each row execute function private.enforce_transition(
    'status', '>draft', 'draft>approved', 'draft>archived', 'approved>draft', 'approved>archived', 'archived>draft'
);
create trigger trg_generated_content_updated_at before update on public.generated_content
for each row execute function public.set_updated_at();

-- What the policies of this room ask about the caller.

create function private.my_threads()
returns uuid[]
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    return (select coalesce(array_agg(id), '{}') from public.threads where teacher_id = private.caller_id());
end
$$;

comment on function private.my_threads() is
    'Ids of the caller''s threads. An array, so that a policy on messages can drive an index.';

-- How the assistant's answers are written. A question and its empty answer are stored together, the worker streams into
-- private.generation_events, and svc_finish_answer stores the whole text. So nothing is lost when a client disconnects.

create function public.svc_begin_answer(
    p_thread_id uuid,
    p_teacher_id uuid,
    p_external_id text,
    p_content text,
    p_content_hash text
)
returns table (user_message_id uuid, assistant_message_id uuid, outcome text)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_question public.messages;
    v_answer public.messages;
begin
    if p_thread_id is null or p_teacher_id is null or p_external_id is null or p_content is null
        or p_content_hash is null then
        raise exception 'p_thread_id, p_teacher_id, p_external_id, p_content and p_content_hash must not be null'
            using errcode = '22004';
    end if;
    -- one question at a time: the second waits here, then sees the first
    perform from public.threads where id = p_thread_id and teacher_id = p_teacher_id for update;
    if not found then
        raise exception 'no thread of this teacher has the id in p_thread_id' using errcode = 'PT404';
    end if;

    select * into v_question from public.messages where thread_id = p_thread_id and external_id = p_external_id;
    if found then
        -- a question sent over REST has no hash yet, so its text is compared
        if v_question.role <> 'user' or (
            v_question.content_hash is null and v_question.content <> p_content
        ) or v_question.content_hash <> p_content_hash then
            return query select v_question.id, null::uuid, 'conflict';
            return;
        end if;
        select * into v_answer from public.messages
        where parent_id = v_question.id and thread_id = p_thread_id and role = 'assistant'
        order by seq desc limit 1;
        if found and v_answer.status <> 'failed' then
            return query select v_question.id, v_answer.id, 'existing';
            return;
        end if;
    end if;

    select * into v_answer from public.messages where thread_id = p_thread_id and status = 'streaming';
    if found then
        return query select v_question.id, v_answer.id, 'busy';
        return;
    end if;

    if v_question.id is null then
        insert into public.messages (thread_id, role, content, external_id, content_hash)
        values (p_thread_id, 'user', p_content, p_external_id, p_content_hash)
        returning * into v_question;
    elsif v_question.content_hash is null then
        update public.messages set content_hash = p_content_hash where id = v_question.id;
    end if;
    insert into public.messages (thread_id, role, content, status, parent_id)
    values (p_thread_id, 'assistant', '', 'streaming', v_question.id)
    returning * into v_answer;
    return query select v_question.id, v_answer.id, 'new';
end
$$;

comment on function public.svc_begin_answer(uuid, uuid, text, text, text) is
    'Stores a question and its empty, streaming answer. outcome new; existing when it was asked before (with the '
    'stored or live answer; after a failed answer it is new again); conflict when the external id has other content; '
    'busy when another answer of the thread is being written (nothing is stored). PT404 when the teacher has no such '
    'thread.';

create function public.svc_finish_answer(
    p_message_id uuid,
    p_status text,
    p_content text,
    p_finish_reason text default null,
    p_citations jsonb default '[]',
    p_metrics jsonb default '{}',
    p_error_code text default null,
    p_model text default null,
    p_prompt_version text default null
)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_status public.message_status;
begin
    if p_message_id is null or p_status is null or p_content is null then
        raise exception 'p_message_id, p_status and p_content must not be null' using errcode = '22004';
    end if;
    if p_status not in ('complete', 'stopped', 'interrupted', 'failed') then
        raise exception 'p_status must be complete, stopped, interrupted or failed' using errcode = '22023';
    end if;
    select status into v_status from public.messages where id = p_message_id and role = 'assistant' for update;
    if not found then
        raise exception 'no answer has the id in p_message_id' using errcode = 'PT404';
    end if;
    -- a late writer, after the sweep or a second attempt, changes nothing
    if v_status <> 'streaming' then
        return;
    end if;
    update public.messages set
        status = p_status::public.message_status,
        content = p_content,
        finish_reason = p_finish_reason,
        citations = coalesce(p_citations, '[]'),
        metrics = coalesce(p_metrics, '{}'),
        error_code = p_error_code,
        model = p_model,
        prompt_version = p_prompt_version
    where id = p_message_id;
end
$$;

comment on function public.svc_finish_answer(uuid, text, text, text, jsonb, jsonb, text, text, text) is
    'Ends a streaming answer as complete, stopped, interrupted or failed, with its text. On an answer that has ended '
    'nothing changes. PT404 when the answer does not exist, 22023 for another status.';

-- Ends answers and headstarts whose writer died, and (by private.fail_stuck_rows, 90_platform) other rows whose job is
-- gone. A row keeps its live state while its job may still run. Once no job will run, its reader would wait for ever,
-- and the guard against a second live run would refuse a new one.

create function public.svc_sweep_generations()
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_row record;
    v_text text;
    v_count int := 0;
begin
    for v_row in
        select m.id, m.created_at from public.messages as m
        where m.status = 'streaming' and m.created_at < private.clock() - interval '1 minute'
        for update skip locked
    loop
        -- a part of the last minute shows that a worker is still writing
        if exists (
            select from private.generation_events as e
            where e.stream_id = v_row.id and e.at >= private.clock() - interval '1 minute'
        ) or v_row.id::text = any (private.live_job_keys('{chat_answer}', 'message_id')) then
            continue;
        end if;
        select coalesce(string_agg(e.part ->> 'delta', '' order by e.seq), '') into v_text
        from private.generation_events as e
        where e.stream_id = v_row.id and e.part ->> 'type' = 'text-delta';
        update public.messages set status = 'interrupted', content = left(v_text, 200000) where id = v_row.id;
        v_count := v_count + 1;
    end loop;

    -- a failed or cancelled job is proof enough; where no job is found, an hour must have passed
    for v_row in
        select h.id from public.headstart_runs as h
        where h.status in ('queued', 'running')
            and h.id::text <> all ((select private.live_job_keys('{headstart}', 'run_id'))::text[])
            and (
                coalesce(h.started_at, h.created_at) < private.clock() - interval '1 hour'
                or exists (
                    select from public.jobs as j
                    join private.job_runtime as r on r.job_id = j.id
                    where j.user_id = h.user_id
                        and j.status in ('failed', 'cancelled')
                        and j.type = 'headstart'
                        and r.payload ->> 'run_id' = h.id::text
                )
            )
        for update of h skip locked
    loop
        perform public.svc_finish_headstart_run(
            v_row.id, 'failed', null, 'interrupted: the work stopped before it was done', '{}'
        );
        v_count := v_count + 1;
    end loop;
    return v_count + private.fail_stuck_rows();
end
$$;

comment on function public.svc_sweep_generations() is
    'Ends what no live job will finish: answers (interrupted, keeping the text so far), headstart runs, lectures, '
    'reviews and content sources (failed); returns how many. Called by workers every few seconds and by '
    'svc_purge_expired.';

-- What this room forgets. Called by svc_purge_expired (90_platform).

create function private.purge_assistant()
returns jsonb
language sql
volatile
security definer
set search_path = ''
as $$
    select jsonb_build_object(
        'courses_cache', private.purge('public.courses_cache', 'cached_at', '24 hours')
    );
$$;

comment on function private.purge_assistant() is 'Deletes what this room no longer keeps; how many rows went, by name.';
