-- The types of jobs that move weeks by the calendar and measure them; the next migration schedules them.
-- Touches: 90_platform. Undo: a value of an enum cannot be dropped; without a schedule it is unused.

set lock_timeout = '5s';

alter type public.job_type add value if not exists 'week_advance';
alter type public.job_type add value if not exists 'kpi_refresh';
