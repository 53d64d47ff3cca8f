-- Values stand in the order of the life cycle, not of the alphabet.

create type public.lecture_status as enum ('pending', 'downloading', 'completed', 'failed');
comment on type public.lecture_status is
    'pending: waits for a worker. downloading. completed: audio and transcript are stored. failed: can be tried again.';

create type public.document_status as enum ('uploaded', 'failed');
comment on type public.document_status is 'uploaded: the file is stored. failed: it is not, and can be uploaded again.';
