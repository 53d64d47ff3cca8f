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
