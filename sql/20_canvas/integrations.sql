-- One person's grant at one outside system. The functions write it; tokens are in private.integration_tokens.
-- Connecting again keeps the row and its id, so that courses stay attached.

create table public.integrations (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null,
    provider public.integration_provider not null,
    lms_connection_id uuid,
    instance_domain text not null default '',
    external_user_id text,
    status public.integration_status not null default 'pending',
    scopes text[] not null default '{}',
    metadata jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint integrations_user_id_provider_instance_domain_key unique (user_id, provider, instance_domain),
    constraint integrations_id_user_id_key unique (id, user_id),
    constraint integrations_user_id_fkey
        foreign key (user_id)
        references public.profiles(user_id) on delete cascade,
    constraint integrations_lms_connection_id_fkey
        foreign key (lms_connection_id)
        references public.lms_connections(id) on delete restrict,
    constraint integrations_canvas_check check (provider <> 'canvas' or lms_connection_id is not null),
    constraint integrations_metadata_check check (jsonb_typeof(metadata) = 'object')
);

-- a person at the provider is connected to one account here, until it is disconnected
create unique index uq_integrations_external_user
on public.integrations (provider, instance_domain, external_user_id)
where external_user_id is not null and status <> 'revoked';
create index idx_integrations_lms_connection_id on public.integrations (lms_connection_id);

comment on table public.integrations is 'A person''s connection to Canvas or a calendar.';
comment on column public.integrations.id is 'Key; kept when the person connects again.';
comment on column public.integrations.user_id is 'Whose connection.';
comment on column public.integrations.provider is 'Which kind of system.';
comment on column public.integrations.lms_connection_id is 'Which installation; required for Canvas.';
comment on column public.integrations.instance_domain is
    'Host of the installation; empty for systems that have only one.';
comment on column public.integrations.external_user_id is 'The person''s id at the provider; Canvas ids are global.';
comment on column public.integrations.status is 'Whether the grant works.';
comment on column public.integrations.scopes is 'What the person allowed.';
comment on column public.integrations.metadata is 'More about the grant; no token and no other people''s records.';
comment on column public.integrations.created_at is 'When it was first connected.';
comment on column public.integrations.updated_at is 'When the row last changed.';

create trigger trg_integrations_status before insert or update of status on public.integrations
for each row execute function private.enforce_transition(
    'status', '>pending', '>connected',
    'pending>connected', 'pending>error', 'pending>revoked',
    'connected>expired', 'connected>revoked', 'connected>error',
    'expired>connected', 'expired>revoked',
    'error>connected', 'error>revoked',
    'revoked>pending', 'revoked>connected'
);

create trigger trg_integrations_updated_at before update on public.integrations
for each row execute function public.set_updated_at();
