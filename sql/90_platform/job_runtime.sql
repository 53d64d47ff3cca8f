-- What workers need of a job and nobody else may see: its input, and who holds it until when.
-- locked_until has no index on purpose: the running set is small, and a heartbeat stays a HOT update.

create table private.job_runtime (
    job_id uuid primary key,
    payload jsonb not null default '{}',
    lease_token uuid,
    claim_id uuid,
    locked_by text,
    locked_until timestamptz,
    error_detail text,

    constraint job_runtime_job_id_fkey foreign key (job_id) references public.jobs (id) on delete cascade,
    constraint job_runtime_payload_check check (jsonb_typeof(payload) = 'object'),
    constraint job_runtime_lease_check check ((lease_token is null) = (locked_until is null))
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);

-- the same claim asked again
create index idx_job_runtime_claim on private.job_runtime (claim_id) where claim_id is not null;

comment on table private.job_runtime is 'The workers'' side of a job.';
comment on column private.job_runtime.job_id is 'The job.';
comment on column private.job_runtime.payload is 'Its input: ids, never text of students nor tokens.';
comment on column private.job_runtime.lease_token is 'Fences every write after the claim; new for each claim.';
comment on column private.job_runtime.claim_id is 'The claim that took it, so that a lost answer can be asked for again.';
comment on column private.job_runtime.locked_by is 'The worker that holds it.';
comment on column private.job_runtime.locked_until is 'Until when, unless a heartbeat moves it.';
comment on column private.job_runtime.error_detail is 'For operators: what went wrong last.';
