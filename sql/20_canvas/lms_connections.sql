-- One row per school's installation of Canvas. The rows are also the list of hosts that our servers may call. Staff
-- write it. The client secret is in private.lms_connection_secrets. LTI has its own tables: one installation has
-- several keys.

create table public.lms_connections (
    id uuid primary key default gen_random_uuid(),
    provider public.integration_provider not null default 'canvas',
    instance_domain text not null,
    name text not null,
    status public.lms_connection_status not null default 'active',
    oauth_client_id text,
    settings jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint lms_connections_provider_instance_domain_key unique (provider, instance_domain),
    constraint lms_connections_instance_domain_check check (
        instance_domain ~ '^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?$' and char_length(instance_domain) <= 255
    ),
    constraint lms_connections_name_check check (char_length(name) between 1 and 200),
    constraint lms_connections_oauth_client_id_check check (char_length(oauth_client_id) between 1 and 255),
    constraint lms_connections_settings_check
        check (jsonb_typeof(settings) = 'object' and octet_length(settings::text) <= 65536)
);

comment on table public.lms_connections is 'An installation of Canvas that people can connect to.';
comment on column public.lms_connections.id is 'Key.';
comment on column public.lms_connections.provider is 'Kind of system; only canvas is known.';
comment on column public.lms_connections.instance_domain is 'Lower-case host, or host:port, of the installation.';
comment on column public.lms_connections.name is 'What people call it, usually the school''s name.';
comment on column public.lms_connections.status is 'Only active ones are shown and called.';
comment on column public.lms_connections.oauth_client_id is
    'Id of our developer key at the installation; not a secret.';
comment on column public.lms_connections.settings is 'Settings of this installation, readable by its users.';
comment on column public.lms_connections.created_at is 'When it was registered.';
comment on column public.lms_connections.updated_at is 'When the row last changed.';

create trigger trg_lms_connections_status before insert or update of status on public.lms_connections
for each row execute function private.enforce_transition('status', '>active', 'active>disabled', 'disabled>active');

create trigger trg_lms_connections_updated_at before update on public.lms_connections
for each row execute function public.set_updated_at();
