-- Values stand in the order of the life cycle, not of the alphabet.

create type public.headstart_trigger as enum ('manual', 'assignment_published', 'due_soon', 'content_changed');
comment on type public.headstart_trigger is
    'Why a headstart was written: asked for, or because something happened in Canvas.';

create type public.headstart_run_status as enum ('queued', 'running', 'succeeded', 'failed', 'cancelled');
comment on type public.headstart_run_status is
    'queued: waits for a worker. running. The others are final: a second attempt is a new run.';

create type public.headstart_doc_status as enum ('draft', 'ready', 'superseded', 'failed');
comment on type public.headstart_doc_status is
    'draft: being written. ready: can be read. superseded: a newer one is ready. failed: never became ready.';
