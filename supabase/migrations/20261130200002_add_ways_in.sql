-- Ways in without a developer key: people propose hosts, which staff approve, and connect with personal access tokens.
-- Touches: 20_canvas. Undo: drop the functions, triggers and columns and create the earlier ones again. The value of the
-- enum cannot be dropped; without rows it is unused.

set lock_timeout = '5s';

alter type public.lms_connection_status add value if not exists 'pending' before 'active';
comment on type public.lms_connection_status is
    'pending: somebody proposed it and staff have not decided. active: people may connect. disabled: refused or switched '
    'off; no new grants and no sync.';

alter table public.lms_connections
    add column proposed_by uuid,
    add constraint lms_connections_proposed_by_fkey
        foreign key (proposed_by)
        references public.profiles(user_id) on delete set null,
    add constraint lms_connections_proposed_by_check check (proposed_by is null or status <> 'active');
create index idx_lms_connections_proposed_by on public.lms_connections (proposed_by);
comment on column public.lms_connections.settings is
    'Settings of this installation, readable by its users. allow_personal_tokens: whether people may connect with an '
    'access token that they made in Canvas. panopto_hosts: where its lectures are.';
comment on column public.lms_connections.proposed_by is 'Who asked for it, until staff approve it.';

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
drop trigger trg_lms_connections_status on public.lms_connections;
create trigger trg_lms_connections_status before insert or update of status on public.lms_connections
for each row execute function private.enforce_transition(
    'status', '>pending', '>active', 'pending>active', 'pending>disabled', 'active>disabled', 'disabled>active'
);

comment on policy select_admin on public.lms_connections is 'Staff see pending and disabled ones, too.';
comment on policy update_admin on public.lms_connections is 'Staff edit, approve and disable installations.';

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
    'The installation at a host and its status. An unknown one is added: pending, with personal access tokens allowed. '
    '23514 when the domain is not a plain host.';

grant execute on function public.svc_propose_lms_connection(uuid, text, text)
to service_role;

alter table private.integration_tokens add column is_personal boolean not null default false;
comment on column private.integration_tokens.is_personal is
    'A personal access token: it is never refreshed, and never revoked at Canvas, because it is the person''s own.';

create or replace function private.give_up_grant(p_integration_id uuid)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_id uuid;
begin
    insert into private.grant_revocations (
        integration_id, lms_connection_id, access_token_enc, refresh_token_enc, created_at
    )
    select i.id, i.lms_connection_id, t.access_token_enc, t.refresh_token_enc, private.clock()
    from private.integration_tokens as t
    join public.integrations as i on i.id = t.integration_id
    where t.integration_id = p_integration_id and i.lms_connection_id is not null and not t.is_personal
    for update of t
    returning id into v_id;
    delete from private.integration_tokens where integration_id = p_integration_id;
    if v_id is not null then
        perform public.svc_enqueue_job(
            p_type => 'canvas_revoke',
            p_payload => jsonb_build_object('revocation_id', v_id),
            -- nobody's: the person may delete their account meanwhile, and the grant must end all the same
            p_dedupe_key => 'canvas_revoke:' || v_id,
            p_max_retries => 12,
            p_timeout_s => 120
        );
    end if;
end
$$;

comment on function private.give_up_grant(uuid) is
    'Moves the tokens of an integration into private.grant_revocations and enqueues the job that revokes them at '
    'Canvas. A personal access token is only forgotten. Without tokens nothing happens.';

drop function public.svc_connect_integration(
    uuid, uuid, uuid, text, text[], text, text, timestamptz, text, text
);

create function public.svc_connect_integration(
    p_integration_id uuid,
    p_user_id uuid,
    p_lms_connection_id uuid,
    p_external_user_id text,
    p_scopes text[],
    p_access_token_enc text,
    p_refresh_token_enc text default null,
    p_expires_at timestamptz default null,
    p_name text default null,
    p_time_zone text default null,
    p_is_personal boolean default false
)
returns table (integration_id uuid, outcome text, job_id uuid)
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_domain text;
    v_id uuid;
    v_status public.integration_status;
    v_former text;
    v_version int;
begin
    if p_integration_id is null or p_user_id is null or p_lms_connection_id is null or p_external_user_id is null
        or p_scopes is null or p_access_token_enc is null or p_is_personal is null then
        raise exception 'of the parameters only p_refresh_token_enc, p_expires_at, p_name and p_time_zone may be null'
            using errcode = '22004';
    end if;
    perform private.check_time('p_expires_at', p_expires_at);
    select c.instance_domain into v_domain from public.lms_connections as c
    where c.id = p_lms_connection_id and c.provider = 'canvas' and c.status = 'active';
    if not found then
        raise exception 'no active connection has the id in p_lms_connection_id' using errcode = 'PT404';
    end if;
    -- two browser tabs of one person may finish at the same time: the lock puts one after the other
    perform from public.profiles as p where p.user_id = p_user_id for no key update;
    select i.id, i.status, i.external_user_id into v_id, v_status, v_former from public.integrations as i
    where i.user_id = p_user_id and i.provider = 'canvas' and i.instance_domain = v_domain
    for update;
    if v_id <> p_integration_id then
        -- the envelopes are bound to the integration's id: the caller must seal them again for this one
        return query select v_id, 'other_id'::text, null::uuid;
        return;
    end if;
    if v_former <> p_external_user_id and v_status <> 'revoked' then
        return query select v_id, 'other_person'::text, null::uuid;
        return;
    end if;
    begin
        if v_id is null then
            insert into public.integrations (
                id, user_id, provider, lms_connection_id, instance_domain, external_user_id, status, scopes
            )
            values (
                p_integration_id, p_user_id, 'canvas', p_lms_connection_id, v_domain, p_external_user_id, 'connected',
                p_scopes
            );
        else
            update public.integrations as i
            set lms_connection_id = p_lms_connection_id,
                external_user_id = p_external_user_id,
                status = 'connected',
                scopes = p_scopes
            where i.id = v_id;
        end if;
    exception when unique_violation then
        return query select null::uuid, 'in_use'::text, null::uuid;
        return;
    end;
    -- what the owner sees of a token that we cannot renew
    update public.integrations as i
    set metadata = i.metadata - array['is_personal_token', 'token_expires_at'] || case
        when p_is_personal
            then jsonb_build_object('is_personal_token', true, 'token_expires_at', p_expires_at)
        else '{}'
    end
    where i.id = p_integration_id and (p_is_personal or i.metadata ? 'is_personal_token');
    if v_former <> p_external_user_id then
        perform private.part_from_canvas_person(p_integration_id, v_former);
    end if;
    perform private.take_canvas_profile(p_user_id, p_lms_connection_id, p_external_user_id, p_name, p_time_zone);
    -- a new grant replaces both tokens: an older one must not outlive it, here or at Canvas
    select t.version into v_version from private.integration_tokens as t where t.integration_id = p_integration_id;
    perform private.give_up_grant(p_integration_id);
    insert into private.integration_tokens (
        integration_id, access_token_enc, refresh_token_enc, expires_at, is_personal, version
    )
    values (
        p_integration_id, p_access_token_enc, p_refresh_token_enc, p_expires_at, p_is_personal,
        coalesce(v_version, 0) + 1
    );
    return query
    select p_integration_id, 'connected'::text, j.job_id
    from public.svc_enqueue_job(
        p_type => 'canvas_sync',
        p_payload => jsonb_build_object('integration_ids', jsonb_build_array(p_integration_id)),
        p_user_id => p_user_id,
        p_dedupe_key => 'canvas_sync:' || p_integration_id
    ) as j;
end
$$;

comment on function public.svc_connect_integration(
    uuid, uuid, uuid, text, text[], text, text, timestamptz, text, text, boolean
) is
    'Stores a grant: connects the integration, stores its tokens, gives an earlier grant up, enqueues the first sync. '
    'outcome connected; other_id when the person already has an integration there under the returned id (seal the '
    'tokens for it and call again); in_use when another account has connected that Canvas person; other_person when '
    'this account has connected another Canvas person there and not disconnected them. Only connected stores '
    'anything. p_name and p_time_zone are what Canvas says of the person; p_is_personal: the token is one '
    'that the person made in Canvas, and metadata says when it ends. PT404 without an active connection.';

grant execute on function public.svc_connect_integration(
    uuid, uuid, uuid, text, text[], text, text, timestamptz, text, text, boolean
)
to service_role;
