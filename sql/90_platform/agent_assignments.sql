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
create index idx_agent_assignments_socratic_session_id on public.agent_assignments (socratic_session_id)
where socratic_session_id is not null;
create index idx_agent_assignments_job_id on public.agent_assignments (job_id) where job_id is not null;
create index idx_agent_assignments_week_id on public.agent_assignments (week_id) where week_id is not null;

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
