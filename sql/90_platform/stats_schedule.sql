-- The stored figures of students are computed again every night: a streak ends, and badges are earned, without an
-- answer.

insert into private.job_schedules (name, cron, next_run_at, type, catch_up)
values ('stats_refresh', '20 2 * * *', private.cron_next('20 2 * * *', 'UTC', now()), 'stats_refresh', 'skip');
