-- Values stand in the order of the life cycle, not of the alphabet.

create type public.lecture_status as enum ('pending', 'downloading', 'completed', 'failed');
comment on type public.lecture_status is
    'pending: waits for a worker. downloading. completed: audio and transcript are stored. failed: can be tried again.';

create type public.document_status as enum ('uploaded', 'failed');
comment on type public.document_status is 'uploaded: the file is stored. failed: it is not, and can be uploaded again.';

create type public.ingest_status as enum ('pending', 'ready', 'failed', 'none');
comment on type public.ingest_status is
    'How far the text of a document or lecture is: pending: it waits to be read. ready: it can be searched. failed: '
    'it could not be read. none: there is no text in it.';
