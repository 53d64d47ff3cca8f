-- Prompts and model settings of an agent. Staff only: whoever can read a prompt finds ways around it.

create table public.agent_configs (
    agent_id uuid primary key,
    config jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint agent_configs_agent_id_fkey foreign key (agent_id) references public.agents(id) on delete cascade,
    constraint agent_configs_config_check check (jsonb_typeof(config) = 'object')
);

comment on table public.agent_configs is 'Settings of agents.';
comment on column public.agent_configs.agent_id is 'The agent.';
comment on column public.agent_configs.config is 'Prompts and model settings.';
comment on column public.agent_configs.created_at is 'When the row was written.';
comment on column public.agent_configs.updated_at is 'When the row last changed; kept by trigger.';

create trigger trg_agent_configs_columns before update on public.agent_configs
for each row execute function private.keep_columns('config');
create trigger trg_agent_configs_updated_at before update on public.agent_configs
for each row execute function public.set_updated_at();
