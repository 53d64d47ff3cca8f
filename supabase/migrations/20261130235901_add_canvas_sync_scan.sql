-- The type of jobs that start the syncs that are due; the next migration schedules them.
-- Touches: 90_platform. Undo: a value of an enum cannot be dropped; without a schedule it is unused.

set lock_timeout = '5s';

alter type public.job_type add value if not exists 'canvas_sync_scan';
