-- Weeks begin and end by the day of their learner. They are looked at four times an hour, because zones differ by
-- quarters of an hour. Their numbers are measured every night. A time without workers is made up for by one run.

insert into private.job_schedules (name, cron, next_run_at, type)
values
('week_advance', '*/15 * * * *', private.cron_next('*/15 * * * *', 'UTC', now()), 'week_advance'),
('kpi_refresh', '20 3 * * *', private.cron_next('20 3 * * *', 'UTC', now()), 'kpi_refresh');
