create type public.message_role as enum ('user', 'assistant', 'system');
comment on type public.message_role is
    'Who speaks: user (a person), assistant (the model), system (a note of the product). Serves the teachers'' '
    'chat and the socratic sessions alike.';

create type public.message_status as enum ('complete', 'streaming', 'stopped', 'interrupted', 'failed');
comment on type public.message_status is
    'complete (whole), streaming (being written), stopped (by the reader), interrupted (the writer died; the '
    'text so far is kept), failed (no usable answer, see error_code).';

create type public.class_status as enum ('active', 'archived');
comment on type public.class_status is 'active (taught now), archived (put away by the teacher; may come back).';

create type public.content_source_kind as enum ('upload', 'url', 'canvas_page', 'canvas_file', 'text');
comment on type public.content_source_kind is
    'Where material comes from: upload (a file), url, canvas_page, canvas_file, text (typed in).';

create type public.content_source_status as enum ('pending', 'processing', 'ready', 'failed');
comment on type public.content_source_status is
    'pending (waits for its job), processing, ready (text extracted), failed (see error_message; may be tried '
    'again).';

create type public.generated_content_kind as enum (
    'lesson_plan', 'quiz', 'rubric', 'worksheet', 'slides', 'summary', 'other'
);
comment on type public.generated_content_kind is 'What the assistant was asked to write.';

create type public.generated_content_status as enum ('draft', 'approved', 'archived');
comment on type public.generated_content_status is
    'draft (as the model left it), approved (the teacher stands behind it), archived.';
