-- What is due soon is looked for four times an hour. A time without workers is made up for by one look.

insert into private.job_schedules (name, cron, next_run_at, type)
values ('headstart_scan', '*/15 * * * *', private.cron_next('*/15 * * * *', 'UTC', now()), 'headstart_scan');
