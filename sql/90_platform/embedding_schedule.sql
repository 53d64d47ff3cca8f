-- New fragments get vectors every five minutes; until then they are found by words. Without OPENAI_EMBEDDING_MODEL the
-- job does nothing and says so.

insert into private.job_schedules (name, cron, next_run_at, type, catch_up)
values (
    'chunk_embedding', '*/5 * * * *', private.cron_next('*/5 * * * *', 'UTC', now()), 'chunk_embedding', 'skip'
);
