-- What is due for a sync is looked for every five minutes. A time without workers is made up for by one look, which
-- spreads what waited.

insert into private.job_schedules (name, cron, next_run_at, type)
values ('canvas_sync_scan', '*/5 * * * *', private.cron_next('*/5 * * * *', 'UTC', now()), 'canvas_sync_scan');

-- What is due within a day is looked for four times an hour.

insert into private.job_schedules (name, cron, next_run_at, type)
values ('due_scan', '*/15 * * * *', private.cron_next('*/15 * * * *', 'UTC', now()), 'due_scan');
