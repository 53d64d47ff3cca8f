create type public.job_type as enum (
    'canvas_sync', 'canvas_courses_cache', 'headstart', 'chat_answer', 'content_generation', 'lecture_download',
    'lecture_transcription', 'lecture_ingest', 'document_ingest', 'code_review', 'week_notes', 'brand_package',
    'session_summary', 'nudge_dispatch', 'notification_dispatch', 'stats_refresh', 'catalog_sync', 'storage_cleanup',
    'account_deletion', 'canvas_revoke', 'content_source', 'practice_grading', 'practice_calibration',
    'lti_score', 'headstart_scan', 'lti_roster', 'chunk_embedding',
    'week_advance', 'kpi_refresh', 'question_answer', 'socratic_answer', 'socratic_insights', 'canvas_sync_scan',
    'due_scan', 'practice_generation'
);
comment on type public.job_type is
    'What a job does; each type has one handler, registered by the service that owns it.';

create type public.job_status as enum ('queued', 'running', 'succeeded', 'failed', 'cancelled');
comment on type public.job_status is
    'queued: waits for a worker, also for its next attempt. running: a worker holds its lease. succeeded, failed, '
    'cancelled: over; retry_job takes failed back to queued.';

create type private.job_state as enum ('later', 'waiting', 'ready', 'running', 'over');
comment on type private.job_state is 'Where a job stands in the queue; see private.job_runtime.';
