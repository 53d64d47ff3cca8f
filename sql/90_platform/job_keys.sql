-- The keys of live jobs: at most one queued or running job has a key. A table of its own and not a partial unique index on
-- jobs.status, because that index would have to be written each time any job changes its state. Written by triggers of
-- public.jobs and, ahead of them, by svc_enqueue_job.

create table private.job_keys (
    dedupe_key text primary key,
    job_id uuid not null,

    -- deferred: a key is taken before its job is written
    constraint job_keys_job_id_fkey foreign key (job_id) references public.jobs (id) on delete cascade
    deferrable initially deferred,
    constraint job_keys_job_id_key unique (job_id)
);

comment on table private.job_keys is 'Which live job has a key.';
comment on column private.job_keys.dedupe_key is 'The key.';
comment on column private.job_keys.job_id is 'The queued or running job that has it.';

create function private.take_job_key()
returns trigger
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if not exists (select from private.job_keys where dedupe_key = new.dedupe_key and job_id = new.id) then
        insert into private.job_keys (dedupe_key, job_id) values (new.dedupe_key, new.id);
    end if;
    return null;
end
$$;

comment on function private.take_job_key() is
    'AFTER INSERT of a job with a key: it has it (23505 when another has). Later changes are private.change_job()''s.';

create trigger trg_jobs_key_taken after insert on public.jobs
for each row when (new.dedupe_key is not null) execute function private.take_job_key();
