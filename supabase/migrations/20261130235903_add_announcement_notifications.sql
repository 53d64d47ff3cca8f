-- A kind of notification and a type of jobs; the next migration uses them.
-- Touches: 40_planner, 90_platform. Undo: a value of an enum cannot be dropped; unused it does no harm.

set lock_timeout = '5s';

alter type public.notification_type add value if not exists 'announcement';
alter type public.job_type add value if not exists 'due_scan';
