-- One row per school's installation of Canvas. The rows are also the list of hosts that our servers may call. Staff
-- write it, and approve what people propose. The client secret is in private.lms_connection_secrets. LTI has its own
-- tables: one installation has several keys.

create table public.lms_connections (
    id uuid primary key default gen_random_uuid(),
    provider public.integration_provider not null default 'canvas',
    instance_domain text not null,
    name text not null,
    status public.lms_connection_status not null default 'active',
    oauth_client_id text,
    settings jsonb not null default '{}',
    proposed_by uuid,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint lms_connections_provider_instance_domain_key unique (provider, instance_domain),
    constraint lms_connections_instance_domain_check check (
        instance_domain ~ '^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?$' and char_length(instance_domain) <= 255
    ),
    constraint lms_connections_proposed_by_fkey
        foreign key (proposed_by)
        references public.profiles(user_id) on delete set null,
    -- everybody reads active ones, and need not know who asked for them
    constraint lms_connections_proposed_by_check check (proposed_by is null or status <> 'active'),
    constraint lms_connections_name_check check (char_length(name) between 1 and 200),
    constraint lms_connections_oauth_client_id_check check (char_length(oauth_client_id) between 1 and 255),
    constraint lms_connections_settings_check
        check (jsonb_typeof(settings) = 'object' and octet_length(settings::text) <= 65536)
);

create index idx_lms_connections_proposed_by on public.lms_connections (proposed_by);

comment on table public.lms_connections is 'An installation of Canvas that people can connect to.';
comment on column public.lms_connections.id is 'Key.';
comment on column public.lms_connections.provider is 'Kind of system; only canvas is known.';
comment on column public.lms_connections.instance_domain is 'Lower-case host, or host:port, of the installation.';
comment on column public.lms_connections.name is 'What people call it, usually the school''s name.';
comment on column public.lms_connections.status is 'Only active ones are shown and called.';
comment on column public.lms_connections.oauth_client_id is
    'Id of our developer key at the installation; not a secret.';
comment on column public.lms_connections.settings is
    'Settings of this installation, readable by its users. allow_personal_tokens: whether people may connect with an '
    'access token that they made in Canvas. panopto_hosts: where its lectures are. reads: what its developer key '
    'allows besides the needed scopes, a list of modules, todo and pages.';
comment on column public.lms_connections.proposed_by is 'Who asked for it, until staff approve it.';
comment on column public.lms_connections.created_at is 'When it was registered.';
comment on column public.lms_connections.updated_at is 'When the row last changed.';

create function private.decide_lms_connection()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if old.status = 'pending' then
        perform private.write_audit(
            case when new.status = 'active' then 'approve' else 'refuse' end,
            'lms_connections', new.id::text, old.proposed_by, jsonb_build_object('instance_domain', new.instance_domain)
        );
        insert into public.notifications (user_id, type, status, title, body, payload, created_at)
        select
            p.user_id, 'system', 'sent',
            case when new.status = 'active' then 'Your Canvas can be connected' else 'Your Canvas was not approved' end,
            case
                when new.status = 'active' then new.instance_domain || ' was approved. Connect it now.'
                else new.instance_domain || ' was not approved. Ask your school''s staff why.'
            end,
            jsonb_build_object('lms_connection_id', new.id, 'status', new.status),
            private.clock()
        from public.profiles as p where p.user_id = old.proposed_by;
    end if;
    if new.status = 'active' then
        new.proposed_by := null;
    end if;
    return new;
end
$$;

comment on function private.decide_lms_connection() is
    'BEFORE UPDATE on lms_connections when the status changes: a decision about a proposal is audited and told to the '
    'person who proposed it, and an active installation no longer names them.';

create trigger trg_lms_connections_decide before update on public.lms_connections
for each row when (old.status is distinct from new.status) execute function private.decide_lms_connection();
create trigger trg_lms_connections_status before insert or update of status on public.lms_connections
for each row execute function private.enforce_transition(
    'status', '>pending', '>active', 'pending>active', 'pending>disabled', 'active>disabled', 'disabled>active'
);

create trigger trg_lms_connections_updated_at before update on public.lms_connections
for each row execute function public.set_updated_at();

create function public.svc_propose_lms_connection(p_user_id uuid, p_instance_domain text, p_name text)
returns table (lms_connection_id uuid, status public.lms_connection_status)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
    if num_nulls(p_user_id, p_instance_domain, p_name) > 0 then
        raise exception 'p_user_id, p_instance_domain and p_name must not be null' using errcode = '22004';
    end if;
    insert into public.lms_connections (instance_domain, name, status, settings, proposed_by)
    values (p_instance_domain, p_name, 'pending', '{"allow_personal_tokens": true}', p_user_id)
    on conflict on constraint lms_connections_provider_instance_domain_key do nothing;
    return query
    select c.id, c.status from public.lms_connections as c
    where c.provider = 'canvas' and c.instance_domain = p_instance_domain;
end
$$;

comment on function public.svc_propose_lms_connection(uuid, text, text) is
    'The installation at a host and its status. An unknown one is added: pending, with personal access tokens '
    'allowed. 23514 when the domain is not a plain host.';
