-- The agents of the product, as people see them. Staff write it. Prompts and model settings are in agent_configs, for
-- staff alone.

create type public.agent_type as enum (
    'clo', 'engineer', 'socratic', 'brand', 'headstart', 'assistant', 'tutor_companion'
);
comment on type public.agent_type is
    'What an agent is for: clo (learning objectives), engineer (code), socratic (dialogues), brand (brand packages), '
    'headstart, assistant (of teachers), tutor_companion.';

create table public.agents (
    id uuid primary key default gen_random_uuid(),
    type public.agent_type not null,
    name text not null,
    description text,
    is_active boolean not null default true,
    version text not null default '1',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint agents_name_version_key unique (name, version),
    constraint agents_name_check check (char_length(name) between 1 and 200),
    constraint agents_description_check check (char_length(description) <= 5000),
    constraint agents_version_check check (char_length(version) between 1 and 50)
);

comment on table public.agents is 'Agents and their versions.';
comment on column public.agents.id is 'Identity of the row.';
comment on column public.agents.type is 'What it is for.';
comment on column public.agents.name is 'Name.';
comment on column public.agents.description is 'What it does, for people.';
comment on column public.agents.is_active is 'Whether it is in use.';
comment on column public.agents.version is 'Version of this agent.';
comment on column public.agents.created_at is 'When the row was written.';
comment on column public.agents.updated_at is 'When the row last changed; kept by trigger.';

create trigger trg_agents_columns before update on public.agents
for each row execute function private.keep_columns('type', 'name', 'description', 'is_active', 'version');
create trigger trg_agents_updated_at before update on public.agents
for each row execute function public.set_updated_at();

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
