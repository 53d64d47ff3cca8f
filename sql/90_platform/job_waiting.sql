-- The queue proper: one row for each job that waits, none for those that run or are over. So a claim costs the same with a
-- million finished jobs as with none.
--
--   later      not due yet (scheduled, or waiting for its next try)
--   waiting    due, but its owner has no free place
--   admitted   due and has a place: these are what claims look at
--
-- A person has as many places as private.job_cap() says, and his running jobs take them too. So the cap is strict, and a
-- person who floods the queue puts no more than his places in front of everybody else.

create table private.job_waiting (
    job_id uuid primary key,
    type public.job_type not null,
    user_id uuid,
    provider text,
    rank timestamptz not null,
    due_at timestamptz not null,
    state text not null,

    constraint job_waiting_job_id_fkey foreign key (job_id) references public.jobs (id) on delete cascade,
    constraint job_waiting_state_check check (state in ('later', 'waiting', 'admitted'))
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500);

create index idx_job_waiting_admitted on private.job_waiting (rank, job_id) where state = 'admitted';
create index idx_job_waiting_user on private.job_waiting (user_id, rank, job_id) where state = 'waiting';
create index idx_job_waiting_user_admitted on private.job_waiting (user_id, rank desc) where state = 'admitted';
create index idx_job_waiting_later on private.job_waiting (due_at) where state = 'later';

comment on table private.job_waiting is 'Jobs that wait for a worker.';
comment on column private.job_waiting.job_id is 'The job.';
comment on column private.job_waiting.type is 'Its type: workers claim by it.';
comment on column private.job_waiting.user_id is 'Its owner: places are counted by person.';
comment on column private.job_waiting.provider is 'The outside system whose limit it shares.';
comment on column private.job_waiting.rank is
    'Claims go by it, earliest first: when it was due, less five minutes for each step of priority. As all jobs age alike, '
    'this fixed moment is priority with ageing: a step of priority is worth five minutes of waiting.';
comment on column private.job_waiting.due_at is 'Not before this moment.';
comment on column private.job_waiting.state is 'later, waiting or admitted.';

create table private.job_caps (
    user_id uuid primary key,
    places int not null,

    constraint job_caps_user_id_fkey foreign key (user_id) references public.profiles (user_id) on delete cascade,
    constraint job_caps_places_check check (places between 1 and 1000)
);

comment on table private.job_caps is 'How many jobs of a person may run at once, where it is not the usual number.';
comment on column private.job_caps.user_id is 'The person.';
comment on column private.job_caps.places is 'His places.';

-- Claims begin to look here, not at the start: while an old snapshot is open, the index entries of jobs long taken cannot
-- go, and passing them again for each claim would cost more each second. Looked for from the start once a second; lowered
-- when a job is admitted before it.
create table private.job_front (
    one boolean primary key default true,
    rank timestamptz not null default '-infinity',
    looked_at timestamptz not null default '-infinity',

    constraint job_front_one_check check (one)
) with (fillfactor = 10);

comment on table private.job_front is 'Where claims begin to look; one row.';
comment on column private.job_front.one is 'There is one row.';
comment on column private.job_front.rank is 'No admitted job ranks before it, but for what was admitted in the last second.';
comment on column private.job_front.looked_at is 'When it was last looked for from the start.';

insert into private.job_front default values;
