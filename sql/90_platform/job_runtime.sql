-- What workers need of a job and nobody else may see: its input, where it stands in the queue, who holds it until when.
--
--   later      not due yet (scheduled, or waiting for its next try)
--   waiting    due, but its owner has no free place
--   admitted   has a place: waits for a worker, or runs (then it has a lease_token and locked_until)
--   over       ended without success; its owner may try a failed one again
--
-- A job that succeeded has no row any more: a row that goes is written once, one that stays twice and into an index.
--
-- A person has as many places as private.job_cap() says, and his running jobs keep theirs. So the cap is strict, and a
-- person who floods the queue puts no more than his places in front of everybody else.
--
-- Each state has its own small index, so a claim costs the same with a million finished jobs as with none. None of them
-- names a column of the lease: claims and heartbeats write no index (HOT updates). A job that runs therefore stays in the
-- index of admitted ones; claims pass it by beginning at private.job_front.

create table private.job_runtime (
    job_id uuid primary key,
    payload private.job_payload not null default '{}',
    lease_token uuid,
    claim_id uuid,
    locked_by text,
    locked_until timestamptz,
    error_detail text,
    type public.job_type not null,
    user_id uuid,
    provider text,
    rank timestamptz not null,
    due_at timestamptz not null,
    state private.job_state not null,

    constraint job_runtime_job_id_fkey foreign key (job_id) references public.jobs (id) on delete cascade
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);

create index idx_job_runtime_admitted on private.job_runtime (rank, job_id) where state = 'admitted';
create index idx_job_runtime_waiting on private.job_runtime (user_id, rank, job_id) where state = 'waiting';
create index idx_job_runtime_places on private.job_runtime (user_id) where state = 'admitted';
create index idx_job_runtime_later on private.job_runtime (due_at) where state = 'later';

comment on table private.job_runtime is 'The workers'' side of a job.';
comment on column private.job_runtime.job_id is 'The job.';
comment on column private.job_runtime.payload is 'Its input: ids, never text of students nor tokens.';
comment on column private.job_runtime.lease_token is
    'Fences every write after the claim; new for each claim. It begins with the moment the try began (16 hex digits of '
    'microseconds since 1970), so that jobs.started_at tells by which lease a job succeeded.';
comment on column private.job_runtime.claim_id is
    'The claim that took it last, so that a lost answer can be asked for again.';
comment on column private.job_runtime.locked_by is 'The worker that holds it.';
comment on column private.job_runtime.locked_until is 'Until when, unless a heartbeat moves it.';
comment on column private.job_runtime.error_detail is 'For operators: what went wrong last.';
comment on column private.job_runtime.type is 'The job''s type: workers claim by it.';
comment on column private.job_runtime.user_id is 'Its owner: places are counted by person.';
comment on column private.job_runtime.provider is 'The outside system whose limit it shares.';
comment on column private.job_runtime.rank is
    'Claims go by it, earliest first: when it was due, less five minutes for each step of priority. As all jobs age alike, '
    'this fixed moment is priority with ageing: a step of priority is worth five minutes of waiting.';
comment on column private.job_runtime.due_at is 'Not before this moment.';
comment on column private.job_runtime.state is 'later, waiting, admitted or over.';

-- One row for each claim some of whose jobs run: by it a claim that is asked for again finds its jobs, and reaping finds
-- what runs. Rows of claims that are over go with the next sweep; read whole, it is small.
create table private.job_claims (
    id uuid primary key,
    job_ids uuid[] not null
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);

comment on table private.job_claims is 'What was handed out together.';
comment on column private.job_claims.id is 'The claim''s id, chosen by the worker.';
comment on column private.job_claims.job_ids is 'Its jobs.';

-- Claims begin to look at this rank (microseconds since 1970), not at the start: while an old snapshot is open, the index
-- entries of jobs long taken cannot go, and passing them again for each claim would cost more each second. A hint: moved
-- on by claims, back by whoever admits a job before it, found anew from the start once a second. Sequences, because they
-- are changed in place, whatever snapshot is open.
create sequence private.job_front minvalue 0 start 0;
comment on sequence private.job_front is 'Where claims begin to look: a rank in microseconds since 1970.';

create sequence private.job_look minvalue 0 start 0;
comment on sequence private.job_look is
    'From when on (milliseconds since 1970) looking for the front from the start is no waste of time.';

create function private.delete_runtime()
returns trigger
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    -- all of the person's in the order of exchanges, also when one of several weeks goes
    perform from private.job_runtime as r
    where r.job_id = any (array(select id from public.jobs where user_id = old.user_id))
    order by r.job_id
    for update;
    if tg_table_name = 'weeks' then
        delete from private.job_runtime where job_id in (select id from public.jobs where week_id = old.id);
    else
        delete from private.job_runtime where job_id in (select id from public.jobs where user_id = old.user_id);
    end if;
    return old;
end
$$;

comment on function private.delete_runtime() is
    'BEFORE DELETE of a person or week: takes the rows of their jobs here before the jobs, in the order in which claims and '
    'completions lock them. So a person who goes while his work ends waits for it, and nobody waits in a circle.';

create trigger trg_profiles_jobs before delete on public.profiles
for each row execute function private.delete_runtime();

create trigger trg_weeks_jobs before delete on public.weeks
for each row execute function private.delete_runtime();
