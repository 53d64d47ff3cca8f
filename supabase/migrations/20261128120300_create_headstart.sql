-- Tables, functions and views of the room 30_headstart.
-- Touches: 30_headstart. Undo: drop what it creates, newest first; nothing in it destroys data.

set lock_timeout = '5s';

-- Values stand in the order of the life cycle, not of the alphabet.

create type public.headstart_trigger as enum ('manual', 'assignment_published', 'due_soon', 'content_changed');
comment on type public.headstart_trigger is
    'Why a headstart was written: asked for, or because something happened in Canvas.';

create type public.headstart_run_status as enum ('queued', 'running', 'succeeded', 'failed', 'cancelled');
comment on type public.headstart_run_status is
    'queued: waits for a worker. running. The others are final: a second attempt is a new run.';

create type public.headstart_doc_status as enum ('draft', 'ready', 'superseded', 'failed');
comment on type public.headstart_doc_status is
    'draft: being written. ready: can be read. superseded: a newer one is ready. failed: never became ready.';

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
comment on column public.headstart_runs.assignment_hash is 'Content hash of the assignment as it was read.';
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

-- A headstart as the student reads it. The headstart service writes it, with sanitised HTML; the student may only
-- delete it. It stays when its run is purged.

create table public.headstart_docs (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null,
    assignment_id uuid not null,
    run_id uuid,
    status public.headstart_doc_status not null default 'draft',
    title text,
    content_md text,
    content_html text,
    summary text,
    extra jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint headstart_docs_user_id_fkey
        foreign key (user_id)
        references public.profiles(user_id) on delete cascade,
    constraint headstart_docs_assignment_id_fkey
        foreign key (assignment_id, user_id)
        references public.assignments(id, user_id) on delete cascade,
    constraint headstart_docs_run_id_fkey
        foreign key (run_id, assignment_id)
        references public.headstart_runs(id, assignment_id) on delete set null (run_id),
    constraint headstart_docs_title_check check (char_length(title) <= 500),
    constraint headstart_docs_content_md_check check (char_length(content_md) <= 400000),
    constraint headstart_docs_content_html_check check (char_length(content_html) <= 1000000),
    constraint headstart_docs_summary_check check (char_length(summary) <= 10000),
    constraint headstart_docs_extra_check check (jsonb_typeof(extra) = 'object')
);

create index idx_headstart_docs_user_id on public.headstart_docs (user_id);
create index idx_headstart_docs_assignment_id on public.headstart_docs (assignment_id, user_id);
create index idx_headstart_docs_run_id on public.headstart_docs (run_id, assignment_id);

comment on table public.headstart_docs is 'A headstart for an assignment; at most one is ready.';
comment on column public.headstart_docs.id is 'Key.';
comment on column public.headstart_docs.user_id is 'For whom.';
comment on column public.headstart_docs.assignment_id is 'For which assignment.';
comment on column public.headstart_docs.run_id is 'The run that wrote it; null once the run is purged.';
comment on column public.headstart_docs.status is 'Its state.';
comment on column public.headstart_docs.title is 'Title.';
comment on column public.headstart_docs.content_md is 'The text in Markdown, as streamed.';
comment on column public.headstart_docs.content_html is 'The same text, rendered and sanitised.';
comment on column public.headstart_docs.summary is 'A few sentences for lists.';
comment on column public.headstart_docs.extra is
    'Keys plan, key_concepts, questions, resources, time_estimate_minutes, suggested_blocks.';
comment on column public.headstart_docs.created_at is 'When it was written.';
comment on column public.headstart_docs.updated_at is 'When the row last changed.';

create trigger trg_headstart_docs_status before insert or update of status on public.headstart_docs
for each row execute function private.enforce_transition(
    'status', '>draft', '>ready', 'draft>ready', 'draft>failed', 'ready>superseded'
);

create trigger trg_headstart_docs_updated_at before update on public.headstart_docs
for each row execute function public.set_updated_at();

-- The text of a model as it is written. A generation belongs to a run and not to a connection: a worker appends parts,
-- HTTP streams follow them, and both can break off and resume. A stream is a headstart run or an assistant message,
-- named by its id. It has no foreign key, because the two are different tables. Rows are deleted a day after the stream
-- ended.

create table private.generation_events (
    stream_id uuid not null,
    seq bigint not null,
    part jsonb not null,
    at timestamptz not null default now(),
    primary key (stream_id, seq),
    constraint generation_events_seq_check check (seq >= 1),
    constraint generation_events_part_check check (jsonb_typeof(part) = 'object')
);

comment on table private.generation_events is 'Parts of a text while it is being written.';
comment on column private.generation_events.stream_id is 'The headstart run or assistant message.';
comment on column private.generation_events.seq is 'Number within the stream; 1, 2, 3 without gaps.';
comment on column private.generation_events.part is 'The part, as HTTP streams send it.';
comment on column private.generation_events.at is 'When it was written.';

create function public.svc_append_generation(p_stream_id uuid, p_from_seq bigint, p_parts jsonb[])
returns bigint
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_last bigint;
begin
    if p_stream_id is null or p_from_seq is null or p_parts is null or array_position(p_parts, null) is not null then
        raise exception 'p_stream_id, p_from_seq, p_parts and its elements must not be null' using errcode = '22004';
    end if;
    -- one writer at a time: a second worker that takes the run for its own finds the number taken
    perform pg_advisory_xact_lock(hashtextextended(p_stream_id::text, 0));
    select coalesce(max(seq), 0) into v_last from private.generation_events where stream_id = p_stream_id;
    if p_from_seq <> v_last + 1 then
        return null;
    end if;
    insert into private.generation_events (stream_id, seq, part, at)
    select p_stream_id, v_last + t.ordinality, t.part, private.clock()
    from unnest(p_parts) with ordinality as t (part, ordinality);
    v_last := v_last + cardinality(p_parts);
    update public.headstart_runs set seq = v_last where id = p_stream_id and seq <> v_last;
    return v_last;
end
$$;

comment on function public.svc_append_generation(uuid, bigint, jsonb[]) is
    'Appends parts to a stream, the first of them under number p_from_seq (a new stream begins with 1), and returns '
    'the last number. When p_from_seq is not the next number, nothing changes and the result is null.';

create function public.svc_read_generation(p_stream_id uuid, p_after_seq bigint, p_limit int default 500)
returns table (seq bigint, part jsonb, at timestamptz)
language sql
stable
security definer
set search_path = ''
as $$
    select e.seq, e.part, e.at from private.generation_events as e
    where e.stream_id = p_stream_id and e.seq > coalesce(p_after_seq, 0)
    order by e.seq
    limit least(greatest(coalesce(p_limit, 500), 1), 5000);
$$;

comment on function public.svc_read_generation(uuid, bigint, int) is
    'The parts of a stream after a number (0 or null: from the start), in order, at most p_limit of them (1 to 5000).';

create function public.svc_start_headstart_run(
    p_user_id uuid,
    p_assignment_id uuid,
    p_trigger text,
    p_prompt_version text default null
)
returns table (run_id uuid, job_id uuid, created boolean)
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_assignment public.assignments;
    v_trigger public.headstart_trigger;
begin
    if p_user_id is null or p_assignment_id is null or p_trigger is null then
        raise exception 'p_user_id, p_assignment_id and p_trigger must not be null' using errcode = '22004';
    end if;
    if p_trigger <> all (enum_range(null::public.headstart_trigger)::text[]) then
        raise exception 'p_trigger must be one of %', array_to_string(enum_range(null::public.headstart_trigger), ', ')
            using errcode = '22023';
    end if;
    v_trigger := p_trigger::public.headstart_trigger;
    -- of two requests at once the second waits here and finds the run of the first
    select * into v_assignment from public.assignments
    where id = p_assignment_id and user_id = p_user_id for no key update;
    if not found then
        raise exception 'no assignment of this person has the id in p_assignment_id' using errcode = 'PT404';
    end if;
    if v_assignment.status = 'removed' then
        raise exception 'the assignment was removed from Canvas' using errcode = 'PT409',
            hint = 'Sync, then choose another assignment.';
    end if;

    created := false;
    select r.id into run_id from public.headstart_runs as r
    where r.assignment_id = p_assignment_id and r.status in ('queued', 'running');
    if not found and v_trigger <> 'manual' then
        select r.id into run_id from public.headstart_runs as r
        where r.assignment_id = p_assignment_id and r.trigger = v_trigger and r.trigger <> 'manual'
            and r.assignment_hash = v_assignment.content_hash and r.prompt_version = p_prompt_version;
        if found then
            -- it was written before, for the same reason and from the same text
            return next;
            return;
        end if;
    end if;
    if run_id is null then
        insert into public.headstart_runs (
            user_id, assignment_id, trigger, assignment_hash, prompt_version, created_at
        )
        values (
            p_user_id, p_assignment_id, v_trigger, v_assignment.content_hash, p_prompt_version, private.clock()
        )
        returning id into run_id;
        created := true;
    end if;
    -- a joined run, too: enqueuing joins its live job, and replaces a job that was lost
    select j.job_id into job_id from public.svc_enqueue_job(
        p_type => 'headstart',
        p_payload => jsonb_build_object('run_id', run_id),
        p_user_id => p_user_id,
        p_dedupe_key => 'headstart:' || run_id
    ) as j;
    return next;
end
$$;

comment on function public.svc_start_headstart_run(uuid, uuid, text, text) is
    'Starts a headstart for a person''s assignment and enqueues its job (type headstart, payload {run_id}). Joins a '
    'live run of the assignment (created false). For triggers other than manual, a run that already exists for the '
    'same content and p_prompt_version is returned without a job. PT404 for a missing assignment or another '
    'person''s, PT409 for a removed one, 22023 for an unknown trigger.';

create function public.svc_finish_headstart_run(
    p_run_id uuid,
    p_status text,
    p_doc jsonb default null,
    p_error text default null,
    p_metrics jsonb default '{}'
)
returns uuid
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_run public.headstart_runs;
    v_doc_id uuid;
    v_title text;
begin
    if p_run_id is null or p_status is null then
        raise exception 'p_run_id and p_status must not be null' using errcode = '22004';
    end if;
    if p_status not in ('succeeded', 'failed', 'cancelled') then
        raise exception 'p_status must be succeeded, failed or cancelled' using errcode = '22023';
    end if;
    if (p_status = 'succeeded') <> coalesce(jsonb_typeof(p_doc) = 'object', false) then
        raise exception 'p_doc must be an object when p_status is succeeded, and null otherwise'
            using errcode = '22023';
    end if;
    if exists (
        select from jsonb_object_keys(p_doc) as key
        where key not in ('title', 'content_md', 'content_html', 'summary', 'extra')
    ) then
        raise exception 'p_doc may only have the keys title, content_md, content_html, summary and extra'
            using errcode = '22023';
    end if;

    select * into v_run from public.headstart_runs where id = p_run_id for update;
    if not found then
        raise exception 'no run has the id in p_run_id' using errcode = 'PT404';
    end if;
    if v_run.status in ('succeeded', 'failed', 'cancelled') then
        -- a worker that was killed after the commit repeats the call
        select id into v_doc_id from public.headstart_docs where run_id = p_run_id order by created_at desc limit 1;
        return v_doc_id;
    end if;

    update public.headstart_runs
    set status = p_status::public.headstart_run_status,
        error = case when p_status <> 'succeeded' then left(p_error, 2000) end,
        metrics = coalesce(p_metrics, '{}')
    where id = p_run_id;
    if p_status = 'succeeded' then
        update public.headstart_docs set status = 'superseded'
        where assignment_id = v_run.assignment_id and status = 'ready';
        insert into public.headstart_docs (
            user_id, assignment_id, run_id, status, title, content_md, content_html, summary, extra
        )
        values (
            v_run.user_id, v_run.assignment_id, p_run_id, 'ready', p_doc ->> 'title', p_doc ->> 'content_md',
            p_doc ->> 'content_html', p_doc ->> 'summary', coalesce(nullif(p_doc -> 'extra', 'null'), '{}')
        )
        returning id into v_doc_id;
    end if;
    if p_status <> 'cancelled' then
        select title into v_title from public.assignments where id = v_run.assignment_id;
        insert into public.notifications (user_id, type, status, title, body, payload, created_at)
        values (
            v_run.user_id,
            (case p_status when 'succeeded' then 'headstart_ready' else 'headstart_failed' end)
            ::public.notification_type,
            'sent',
            case p_status
                when 'succeeded' then 'Your headstart is ready'
                else 'Your headstart could not be written'
            end,
            left(v_title, 2000),
            jsonb_strip_nulls(jsonb_build_object(
                'assignment_id', v_run.assignment_id, 'run_id', p_run_id, 'doc_id', v_doc_id
            )),
            private.clock()
        );
    end if;
    return v_doc_id;
end
$$;

comment on function public.svc_finish_headstart_run(uuid, text, jsonb, text, jsonb) is
    'Ends a run: succeeded with its document (keys title, content_md, content_html, summary, extra), failed with an '
    'error that begins with a code, or cancelled. The document becomes the only ready one of its assignment, and the '
    'student gets one notification, or none for cancelled. On a finished run nothing changes. Returns the document''s '
    'id or null. PT404 when the run does not exist, 22023 for another status or key, 23514 for a run that cannot end '
    'this way.';

-- What a worker, and an owner who cancels, do with a run. They may call at the same moment, and so may an earlier
-- worker that was thought dead. So each function locks the stream first, as svc_append_generation does, then the run. A
-- writer passes the number of the last event it knows, which proves that it is the current one.

create function public.svc_begin_headstart_run(
    p_run_id uuid,
    p_model text,
    p_prompt_version text,
    p_prompt_hash text
)
returns table (status text, user_id uuid, assignment_id uuid, seq bigint, attempts int, text_released boolean)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_run public.headstart_runs;
    v_released boolean := false;
begin
    if p_run_id is null then
        raise exception 'p_run_id must not be null' using errcode = '22004';
    end if;
    perform pg_advisory_xact_lock(hashtextextended(p_run_id::text, 0));
    select * into v_run from public.headstart_runs where id = p_run_id for update;
    if not found then
        raise exception 'no run has the id in p_run_id' using errcode = 'PT404';
    end if;
    if v_run.status in ('queued', 'running') then
        update public.headstart_runs
        set status = 'running', model = p_model, prompt_version = p_prompt_version, prompt_hash = p_prompt_hash
        where id = p_run_id;
        -- the new number also stops a worker that held the run before: its writes name an older one
        perform public.svc_append_generation(
            p_run_id, v_run.seq + 1, array['{"type": "status", "status": "running"}'::jsonb]
        );
        select exists (
            select from private.generation_events as e
            where e.stream_id = p_run_id and e.part ->> 'type' = 'text-delta'
        ) into v_released;
        select * into v_run from public.headstart_runs where id = p_run_id;
    end if;
    return query select
        v_run.status::text, v_run.user_id, v_run.assignment_id, v_run.seq,
        coalesce((v_run.metrics ->> 'attempts')::int, 0), v_released;
end
$$;

comment on function public.svc_begin_headstart_run(uuid, text, text, text) is
    'A worker takes a run: it becomes running, and an event says so. Returns how many calls of the model were made '
    'before, and whether text was released already, which happens when an earlier worker died. A finished run does '
    'not change. PT404 when the run does not exist.';

create function public.svc_count_headstart_call(p_run_id uuid, p_seq bigint)
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_attempts int;
begin
    if p_run_id is null or p_seq is null then
        raise exception 'p_run_id and p_seq must not be null' using errcode = '22004';
    end if;
    update public.headstart_runs
    set metrics = jsonb_set(metrics, '{attempts}', to_jsonb(coalesce((metrics ->> 'attempts')::int, 0) + 1))
    where id = p_run_id and status = 'running' and seq = p_seq
    returning (metrics ->> 'attempts')::int into v_attempts;
    return v_attempts;
end
$$;

comment on function public.svc_count_headstart_call(uuid, bigint) is
    'Counts a call of the model before it is made, so that the call of a killed worker counts, too. Returns the new '
    'count; null when the run is over or another worker writes it (p_seq is not its last event).';

create function public.svc_end_headstart_run(
    p_run_id uuid,
    p_seq bigint,
    p_status text,
    p_doc jsonb default null,
    p_error text default null,
    p_metrics jsonb default '{}'
)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_run public.headstart_runs;
    v_doc_id uuid;
    v_parts jsonb[];
begin
    if p_run_id is null or p_seq is null or p_status is null then
        raise exception 'p_run_id, p_seq and p_status must not be null' using errcode = '22004';
    end if;
    perform pg_advisory_xact_lock(hashtextextended(p_run_id::text, 0));
    select * into v_run from public.headstart_runs where id = p_run_id for update;
    if not found then
        raise exception 'no run has the id in p_run_id' using errcode = 'PT404';
    end if;
    if v_run.status = 'cancelled' and p_status = 'cancelled' then
        -- the owner cancelled it; the worker adds what it cost
        update public.headstart_runs set metrics = p_metrics where id = p_run_id;
        return true;
    end if;
    if v_run.status not in ('queued', 'running') or v_run.seq <> p_seq then
        return false;
    end if;
    v_doc_id := public.svc_finish_headstart_run(p_run_id, p_status, p_doc, p_error, p_metrics);
    v_parts := case p_status
        when 'succeeded' then array[
            jsonb_build_object(
                'type', 'doc', 'doc_id', v_doc_id, 'status', 'ready', 'title', p_doc ->> 'title',
                'summary', p_doc ->> 'summary'
            ),
            jsonb_build_object('type', 'finish', 'status', 'succeeded', 'doc_id', v_doc_id)
        ]
        when 'failed' then array[
            jsonb_build_object(
                'type', 'error', 'code', split_part(p_error, ':', 1),
                'message', ltrim(substr(p_error, strpos(p_error, ':') + 1))
            )
        ]
        else array['{"type": "abort", "status": "cancelled"}'::jsonb]
    end;
    perform public.svc_append_generation(p_run_id, p_seq + 1, v_parts);
    return true;
end
$$;

comment on function public.svc_end_headstart_run(uuid, bigint, text, jsonb, text, jsonb) is
    'Ends a run and its stream in one transaction: svc_finish_headstart_run, then the last events (doc and finish, or '
    'error, or abort). False, and nothing changes, when the run is over or p_seq is not its last event. A cancelled '
    'run still takes the metrics of its worker.';

create function public.svc_cancel_headstart_run(p_run_id uuid, p_user_id uuid)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_run public.headstart_runs;
begin
    if p_run_id is null or p_user_id is null then
        raise exception 'p_run_id and p_user_id must not be null' using errcode = '22004';
    end if;
    perform pg_advisory_xact_lock(hashtextextended(p_run_id::text, 0));
    select * into v_run from public.headstart_runs where id = p_run_id and user_id = p_user_id for update;
    if not found then
        raise exception 'no run of this person has the id in p_run_id' using errcode = 'PT404';
    end if;
    if v_run.status not in ('queued', 'running') then
        raise exception 'the run has ended and cannot be cancelled' using errcode = 'PT409', hint = 'Read its result.';
    end if;
    perform public.svc_end_headstart_run(
        p_run_id, v_run.seq, 'cancelled', null, 'cancelled: the owner ended it',
        jsonb_build_object(
            'attempts', coalesce((v_run.metrics ->> 'attempts')::int, 0), 'prompt_tokens', 0, 'completion_tokens', 0,
            'cached_tokens', 0, 'cost_usd', null, 'latency_ms', 0, 'usage_estimated', v_run.status = 'running',
            'parse_path', null
        )
    );
    perform private.end_live_job(j.id) from public.jobs as j
    where j.dedupe_key = 'headstart:' || p_run_id and j.status in ('queued', 'running');
end
$$;

comment on function public.svc_cancel_headstart_run(uuid, uuid) is
    'Cancels a person''s run at once, with its stream. Its job ends, too; a running one when its worker asks next. '
    'PT404 for a missing run or another person''s, PT409 for one that has ended.';

-- What this room forgets. The documents stay. Called by svc_purge_expired (90_platform).

create function private.purge_headstart()
returns jsonb
language sql
volatile
security definer
set search_path = ''
as $$
    select jsonb_build_object(
        'headstart_runs', private.purge(
            'public.headstart_runs', 'created_at', '180 days', 'status in (''succeeded'', ''failed'', ''cancelled'')'
        ),
        'generation_events', private.purge('private.generation_events', 'at', '1 day')
    );
$$;

comment on function private.purge_headstart() is 'Deletes what this room no longer keeps; how many rows went, by name.';
