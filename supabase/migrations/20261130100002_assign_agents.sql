-- Agents work: one of each type is seeded, settings are checked when they are written, and the work of a job or a
-- Socratic session is recorded once for each agent and completed with it. Duplicate records of one target are merged.
-- Touches: agents, agent_configs, agent_assignments, jobs, socratic_sessions.
-- Undo: drop the two triggers, the trigger trg_agent_configs_valid and the four functions; the rows may stay.

set lock_timeout = '5s';

delete from public.agent_assignments as a using public.agent_assignments as b
where a.agent_id = b.agent_id and a.id > b.id
    and (a.socratic_session_id = b.socratic_session_id or a.job_id = b.job_id or a.week_id = b.week_id);
drop index public.idx_agent_assignments_socratic_session_id;
drop index public.idx_agent_assignments_job_id;
drop index public.idx_agent_assignments_week_id;
create unique index uq_agent_assignments_socratic_session_id
on public.agent_assignments (socratic_session_id, agent_id) where socratic_session_id is not null;
create unique index uq_agent_assignments_job_id
on public.agent_assignments (job_id, agent_id) where job_id is not null;
create unique index uq_agent_assignments_week_id
on public.agent_assignments (week_id, agent_id) where week_id is not null;

-- One agent of each type, so that a new installation works. Staff may rename them, switch them off or add versions.
insert into public.agents (id, type, name, description)
values
('a6e47000-0000-4000-8000-000000000001', 'clo', 'Learning objectives', 'Writes a week''s objectives.'),
('a6e47000-0000-4000-8000-000000000002', 'engineer', 'Engineer', 'Reads repositories, and reviews and explains code.'),
('a6e47000-0000-4000-8000-000000000003', 'socratic', 'Socratic tutor', 'Asks until the learner finds the answer.'),
('a6e47000-0000-4000-8000-000000000004', 'brand', 'Brand', 'Makes a brand package of a learner''s week.'),
('a6e47000-0000-4000-8000-000000000005', 'headstart', 'Headstart', 'Prepares the first steps of an assignment.'),
('a6e47000-0000-4000-8000-000000000006', 'assistant', 'Teachers'' assistant', 'Answers teachers and writes material.'),
('a6e47000-0000-4000-8000-000000000007', 'tutor_companion', 'Tutor companion', 'Answers students between sessions.')
on conflict do nothing;

create function private.check_agent_config()
returns trigger
language plpgsql
set search_path = ''
as $$
declare
    v_key text;
    v_value jsonb;
    v_wanted text;
begin
    if jsonb_typeof(new.config) is distinct from 'object' then
        -- the constraint says so
        return new;
    end if;
    for v_key, v_value in select key, value from jsonb_each(new.config) loop
        v_wanted := case v_key
            when 'model' then case
                when jsonb_typeof(v_value) = 'string' and v_value #>> '{}' ~ '^[^[:space:][:cntrl:]]{1,200}$' then null
                else 'a name of 1 to 200 characters without spaces' end
            when 'temperature' then case
                when jsonb_typeof(v_value) = 'number' and (v_value #>> '{}')::numeric between 0 and 2 then null
                else 'a number between 0 and 2' end
            when 'max_output_tokens' then case
                when jsonb_typeof(v_value) = 'number' and (v_value #>> '{}')::numeric between 256 and 16000
                    and (v_value #>> '{}')::numeric = trunc((v_value #>> '{}')::numeric) then null
                else 'a whole number between 256 and 16000' end
            when 'extra_instructions' then case
                when jsonb_typeof(v_value) = 'string' and char_length(v_value #>> '{}') between 1 and 4000 then null
                else 'a text of 1 to 4000 characters' end
            else 'left out, because there is no such setting' end;
        if v_wanted is not null then
            raise exception '% must be %', 'config.' || quote_ident(left(v_key, 100)), v_wanted using errcode = '22023',
                hint = 'The settings of an agent are model, temperature, max_output_tokens and extra_instructions.';
        end if;
    end loop;
    return new;
end
$$;

comment on function private.check_agent_config() is
    'BEFORE INSERT OR UPDATE OF config on agent_configs: refuses unknown settings, wrong types and values out of '
    'range (22023).';

create trigger trg_agent_configs_valid before insert or update of config on public.agent_configs
for each row execute function private.check_agent_config();

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

grant execute on function public.svc_find_agent(public.agent_type) to service_role;

grant execute on function public.svc_assign_agent(public.agent_type, uuid, uuid) to service_role;
