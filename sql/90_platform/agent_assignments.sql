-- Which agent worked on what: a Socratic session, a job or a week, exactly one of them. The service writes it.

create table public.agent_assignments (
    id uuid primary key default gen_random_uuid(),
    agent_id uuid not null,
    socratic_session_id uuid,
    job_id uuid,
    week_id uuid,
    assigned_at timestamptz not null default now(),
    completed_at timestamptz,

    constraint agent_assignments_agent_id_fkey foreign key (agent_id) references public.agents(id) on delete cascade,
    constraint agent_assignments_socratic_session_id_fkey
        foreign key (socratic_session_id) references public.socratic_sessions(id) on delete cascade,
    constraint agent_assignments_job_id_fkey foreign key (job_id) references public.jobs(id) on delete cascade,
    constraint agent_assignments_week_id_fkey foreign key (week_id) references public.weeks(id) on delete cascade,
    constraint agent_assignments_target_check check (num_nonnulls(socratic_session_id, job_id, week_id) = 1),
    constraint agent_assignments_completed_at_check check (completed_at >= assigned_at)
);

create index idx_agent_assignments_agent_id on public.agent_assignments (agent_id);
-- one row for each agent and target, so that work that is repeated is recorded once
create unique index uq_agent_assignments_socratic_session_id
on public.agent_assignments (socratic_session_id, agent_id) where socratic_session_id is not null;
create unique index uq_agent_assignments_job_id
on public.agent_assignments (job_id, agent_id) where job_id is not null;
create unique index uq_agent_assignments_week_id
on public.agent_assignments (week_id, agent_id) where week_id is not null;

comment on table public.agent_assignments is 'Work given to agents.';
comment on column public.agent_assignments.id is 'Identity of the row.';
comment on column public.agent_assignments.agent_id is 'The agent.';
comment on column public.agent_assignments.socratic_session_id is 'The dialogue, if the work was on one.';
comment on column public.agent_assignments.job_id is 'The job, if the work was on one.';
comment on column public.agent_assignments.week_id is 'The week, if the work was on one.';
comment on column public.agent_assignments.assigned_at is 'When it was given the work.';
comment on column public.agent_assignments.completed_at is 'When it was done.';

create function private.my_agent_assignments()
returns uuid[]
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_me constant uuid := private.caller_id();
begin
    return array(
        select a.id from public.agent_assignments as a
        join public.socratic_sessions as s on s.id = a.socratic_session_id and s.user_id = v_me
        union all
        select a.id from public.agent_assignments as a
        join public.jobs as j on j.id = a.job_id and j.user_id = v_me
        union all
        select a.id from public.agent_assignments as a
        join public.weeks as w on w.id = a.week_id and w.user_id = v_me
    );
end
$$;

comment on function private.my_agent_assignments() is
    'Ids of the work agents did on the caller''s dialogues, jobs and weeks.';

create function public.svc_find_agent(p_type public.agent_type)
returns table (agent_id uuid, name text, version text, config jsonb)
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    if p_type is null then
        raise exception 'p_type must not be null' using errcode = '22004';
    end if;
    return query
    select a.id, a.name, a.version, coalesce(c.config, '{}')
    from public.agents as a
    left join public.agent_configs as c on c.agent_id = a.id
    where a.type = p_type and a.is_active
    order by a.created_at desc, a.id desc
    limit 1;
end
$$;

comment on function public.svc_find_agent(public.agent_type) is
    'The agent that works: the newest active one of the type. No row: the type is switched off.';

create function public.svc_assign_agent(
    p_type public.agent_type, p_job_id uuid default null, p_socratic_session_id uuid default null
)
returns table (agent_id uuid, name text, version text, config jsonb)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_agent record;
begin
    if num_nonnulls(p_job_id, p_socratic_session_id) = 0 then
        raise exception 'p_job_id or p_socratic_session_id must be given' using errcode = '22004';
    end if;
    select f.agent_id, f.name, f.version, f.config into v_agent from public.svc_find_agent(p_type) as f;
    if not found then
        -- work that began before the type was switched off goes on
        select a.id as agent_id, a.name, a.version, coalesce(c.config, '{}') as config into v_agent
        from public.agent_assignments as g
        join public.agents as a on a.id = g.agent_id and a.type = p_type
        left join public.agent_configs as c on c.agent_id = a.id
        where g.job_id = p_job_id
        order by g.assigned_at desc, g.id desc
        limit 1;
        if not found then
            return;
        end if;
    end if;
    insert into public.agent_assignments (agent_id, job_id)
    select v_agent.agent_id, j.id from public.jobs as j where j.id = p_job_id and j.completed_at is null
    on conflict do nothing;
    insert into public.agent_assignments (agent_id, socratic_session_id)
    select v_agent.agent_id, s.id from public.socratic_sessions as s
    where s.id = p_socratic_session_id and s.ended_at is null
    on conflict do nothing;
    return query select v_agent.agent_id, v_agent.name, v_agent.version, v_agent.config;
end
$$;

comment on function public.svc_assign_agent(public.agent_type, uuid, uuid) is
    'Gives the work of a job, and of an open Socratic session, to the newest active agent of a type, and records it '
    'once for each agent. Returns the agent with its settings; no row when the type is switched off, except for a job '
    'that had an agent before.';

create function private.complete_agent_assignments()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if tg_table_name = 'jobs' then
        update public.agent_assignments set completed_at = greatest(assigned_at, now())
        where job_id = new.id and completed_at is null;
    else
        update public.agent_assignments set completed_at = greatest(assigned_at, now())
        where socratic_session_id = new.id and completed_at is null;
    end if;
    return null;
end
$$;

comment on function private.complete_agent_assignments() is
    'AFTER UPDATE on jobs and socratic_sessions, once the row has ended: completes what agents were given.';

create trigger trg_jobs_agents after update of status on public.jobs
for each row when (new.status in ('succeeded', 'failed', 'cancelled') and new.status <> old.status)
execute function private.complete_agent_assignments();

create trigger trg_socratic_sessions_agents after update of ended_at on public.socratic_sessions
for each row when (new.ended_at is not null and old.ended_at is null)
execute function private.complete_agent_assignments();
