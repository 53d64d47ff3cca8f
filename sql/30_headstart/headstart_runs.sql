-- One attempt to write a headstart for an assignment. The headstart service writes it. Its document is a row of
-- headstart_docs and outlives it. An assignment has one live run; a second request joins it.

create table public.headstart_runs (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null,
    assignment_id uuid not null,
    trigger public.headstart_trigger not null default 'manual',
    status public.headstart_run_status not null default 'queued',
    model text,
    prompt_version text,
    prompt_hash text,
    assignment_hash text,
    task_hash text,
    seq bigint not null default 0,
    started_at timestamptz,
    ended_at timestamptz,
    error text,
    metrics jsonb not null default '{}',
    created_at timestamptz not null default now(),
    constraint headstart_runs_id_assignment_id_key unique (id, assignment_id),
    constraint headstart_runs_user_id_fkey
        foreign key (user_id)
        references public.profiles(user_id) on delete cascade,
    constraint headstart_runs_assignment_id_fkey
        foreign key (assignment_id, user_id)
        references public.assignments(id, user_id) on delete cascade,
    constraint headstart_runs_ended_at_check check (ended_at >= started_at),
    constraint headstart_runs_seq_check check (seq >= 0),
    constraint headstart_runs_error_check check (char_length(error) <= 2000),
    constraint headstart_runs_metrics_check check (jsonb_typeof(metrics) = 'object')
);

create unique index uq_headstart_runs_live on public.headstart_runs (assignment_id)
where status in ('queued', 'running');
-- an automatic headstart is written once for the same reason and text; people may ask as often as they like
create unique index uq_headstart_runs_trigger
on public.headstart_runs (assignment_id, trigger, assignment_hash, prompt_version)
where trigger <> 'manual';
create index idx_headstart_runs_user_id on public.headstart_runs (user_id, created_at desc);
create index idx_headstart_runs_assignment_id on public.headstart_runs (assignment_id, user_id);

comment on table public.headstart_runs is 'An attempt to write a headstart.';
comment on column public.headstart_runs.id is 'Key; also the stream of its generation events.';
comment on column public.headstart_runs.user_id is 'For whom.';
comment on column public.headstart_runs.assignment_id is 'For which assignment.';
comment on column public.headstart_runs.trigger is 'Why it was started.';
comment on column public.headstart_runs.status is 'Its state.';
comment on column public.headstart_runs.model is 'The model that wrote it.';
comment on column public.headstart_runs.prompt_version is 'Version of the prompt files.';
comment on column public.headstart_runs.prompt_hash is 'Hash of the prompt files.';
comment on column public.headstart_runs.assignment_hash is 'Content hash of the assignment when the run was asked for.';
comment on column public.headstart_runs.task_hash is 'Hash of what is asked of the student, as the worker read it.';
comment on column public.headstart_runs.seq is 'Number of the last generation event.';
comment on column public.headstart_runs.started_at is 'When a worker began.';
comment on column public.headstart_runs.ended_at is 'When it reached a final state.';
comment on column public.headstart_runs.error is 'Begins with a code of docs/errors.md.';
comment on column public.headstart_runs.metrics is
    'Keys attempts, prompt_tokens, completion_tokens, cached_tokens, cost_usd, latency_ms, usage_estimated, '
    'parse_path.';
comment on column public.headstart_runs.created_at is 'When it was asked for.';

create function private.stamp_headstart_run()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if new.status = 'running' then
        new.started_at := private.clock();
    elsif new.status in ('succeeded', 'failed', 'cancelled') then
        new.ended_at := greatest(private.clock(), new.started_at);
    end if;
    return new;
end
$$;

comment on function private.stamp_headstart_run() is
    'BEFORE UPDATE on headstart_runs when status changes: records when it began or ended.';

create trigger trg_headstart_runs_stamp before update of status on public.headstart_runs
for each row when (old.status is distinct from new.status)
execute function private.stamp_headstart_run();

create trigger trg_headstart_runs_status before insert or update of status on public.headstart_runs
for each row execute function private.enforce_transition(
    'status', '>queued', 'queued>running', 'queued>cancelled', 'queued>failed',
    'running>succeeded', 'running>failed', 'running>cancelled'
);
