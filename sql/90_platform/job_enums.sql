create type public.job_type as enum (
    'canvas_sync', 'canvas_courses_cache', 'headstart', 'chat_answer', 'content_generation', 'lecture_download',
    'lecture_transcription', 'lecture_ingest', 'document_ingest', 'code_review', 'week_notes', 'brand_package',
    'session_summary', 'nudge_dispatch', 'notification_dispatch', 'stats_refresh', 'catalog_sync', 'storage_cleanup',
    'account_deletion'
);
comment on type public.job_type is 'What a job does; each type has one handler, registered by the service that owns it.';

create domain private.job_state as text
constraint job_state_check check (value in ('later', 'waiting', 'admitted', 'over'));
comment on domain private.job_state is
    'Where a job stands in the queue. later: not due. waiting: due, but its owner has no free place. admitted: has a place, '
    'waits for a worker or runs. over: ended without '
    'success.';

create domain private.job_payload as jsonb constraint job_payload_check check (jsonb_typeof(value) = 'object');
comment on domain private.job_payload is 'The input of a job: an object. A domain, so that it is looked at when written alone.';

create type public.job_status as enum ('queued', 'running', 'succeeded', 'failed', 'cancelled');
comment on type public.job_status is
    'queued: waits (also for its next try). running: a worker holds the lease. succeeded, failed, cancelled: over; '
    'failed goes back to queued by retry_job.';
