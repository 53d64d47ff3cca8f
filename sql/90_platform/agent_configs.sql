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
