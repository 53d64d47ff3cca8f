-- What workers need of a job and nobody else may see: its input, where it stands in the queue, who holds it until when.
--
--   later    not due yet                        -> waiting; ready, if it is the system's
--   waiting  due, but its owner has no free slot -> ready
--   ready    has a slot, waits for a worker      -> running; waiting, if a more urgent job takes its slot
--   running  leased to a worker                  -> over; later, waiting or ready for another attempt
--   over     ended; a failed one may be retried  -> waiting
--
-- Each state that is not over has a partial index, so a claim costs the same with a million finished jobs as with none.
-- A person's jobs share that person's slots (private.job_cap), which ready and running jobs occupy. So a person who
-- floods the queue puts no more than their slots in front of everybody else. The system's own jobs need no slot.

create table private.job_runtime (
    job_id uuid primary key,
    payload jsonb not null default '{}',
    type public.job_type not null,
    user_id uuid,
    provider text,
    state private.job_state not null default 'over',
    rank timestamptz,
    due_at timestamptz,
    lease_token uuid,
    claim_id uuid,
    locked_by text,
    locked_until timestamptz,
    error_detail text,

    constraint job_runtime_job_id_fkey foreign key (job_id) references public.jobs(id) on delete cascade,
    constraint job_runtime_payload_check check (jsonb_typeof(payload) = 'object'),
    constraint job_runtime_line_check check (state = 'over' or num_nulls(rank, due_at) = 0),
    constraint job_runtime_lease_check
        check (state <> 'running' or num_nulls(lease_token, claim_id, locked_by, locked_until) = 0),
    constraint job_runtime_waiting_check check (state <> 'waiting' or user_id is not null)
) with (
    -- as for jobs
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500
);

create index idx_job_runtime_later on private.job_runtime (due_at) where state = 'later';
create index idx_job_runtime_waiting on private.job_runtime (user_id, rank, job_id) where state = 'waiting';
create index idx_job_runtime_ready on private.job_runtime (rank, job_id) where state = 'ready';
create index idx_job_runtime_running on private.job_runtime (claim_id) where state = 'running';
-- the slots in use
create index idx_job_runtime_slots on private.job_runtime (user_id) where state in ('ready', 'running');

comment on table private.job_runtime is 'The workers'' side of a job.';
comment on column private.job_runtime.job_id is 'The job.';
comment on column private.job_runtime.payload is
    'Its input: ids, never text of students nor tokens. Emptied when the job has succeeded.';
comment on column private.job_runtime.type is 'The job''s type: workers claim by it.';
comment on column private.job_runtime.user_id is 'Its owner: slots are counted by person.';
comment on column private.job_runtime.provider is 'The outside system whose limit it shares.';
comment on column private.job_runtime.state is 'Where it stands in the queue.';
comment on column private.job_runtime.rank is
    'Claims go by it, earliest first: when the job was due, less five minutes for each step of priority. As all jobs '
    'age alike, this fixed moment is priority with ageing: a step of priority is worth five minutes of waiting.';
comment on column private.job_runtime.due_at is 'Not before this moment.';
comment on column private.job_runtime.lease_token is
    'Proves who may write after the claim; new for each attempt. It stays after the end, to confirm a completion said '
    'twice.';
comment on column private.job_runtime.claim_id is
    'The claim that took it last, so that a lost answer can be asked for again.';
comment on column private.job_runtime.locked_by is 'The worker that holds it.';
comment on column private.job_runtime.locked_until is 'Until when, unless a heartbeat moves it.';
comment on column private.job_runtime.error_detail is 'For operators: what went wrong last.';
