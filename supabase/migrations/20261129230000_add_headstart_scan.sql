-- The job that starts headstarts because something happened.
-- Touches: public.job_type. Undo: nothing; a value of an enum stays.

set lock_timeout = '5s';

alter type public.job_type add value 'headstart_scan';
