-- The difficulty of practice items is brought back to its mean every night. A night that was missed is not made up for,
-- because the next one takes the whole drift.
-- Touches: private.job_schedules. Undo: delete its row.

set lock_timeout = '5s';

insert into private.job_schedules (name, cron, next_run_at, type, catch_up)
values (
    'practice_calibration', '10 3 * * *', private.cron_next('10 3 * * *', 'UTC', now()), 'practice_calibration', 'skip'
);
