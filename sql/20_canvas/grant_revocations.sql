-- Outbox of grants to revoke at Canvas. Disconnecting must work while Canvas is down, so the tokens move here in the
-- transaction that forgets them, and a job of type canvas_revoke tells Canvas later. Nothing else reads them any more.

create table private.grant_revocations (
    id uuid primary key default gen_random_uuid(),
    integration_id uuid not null,
    lms_connection_id uuid not null,
    access_token_enc text not null,
    refresh_token_enc text,
    created_at timestamptz not null default now(),
    constraint grant_revocations_lms_connection_id_fkey
        foreign key (lms_connection_id)
        references public.lms_connections(id) on delete cascade,
    constraint grant_revocations_access_token_enc_check check (access_token_enc ~ '^v[0-9]+:'),
    constraint grant_revocations_refresh_token_enc_check check (refresh_token_enc ~ '^v[0-9]+:')
);

create index idx_grant_revocations_lms_connection_id on private.grant_revocations (lms_connection_id);
create index idx_grant_revocations_created_at on private.grant_revocations (created_at);

comment on table private.grant_revocations is 'Tokens that we no longer use and that Canvas shall forget, encrypted.';
comment on column private.grant_revocations.id is 'Key; the job names it.';
comment on column private.grant_revocations.integration_id is
    'Whose tokens they were. The envelopes are bound to this id. No foreign key: the integration may go first.';
comment on column private.grant_revocations.lms_connection_id is 'The installation that issued them.';
comment on column private.grant_revocations.access_token_enc is 'Envelope v<key number>:<base64url>.';
comment on column private.grant_revocations.refresh_token_enc is 'Envelope; null where Canvas gave none.';
comment on column private.grant_revocations.created_at is 'When they were given up.';

create function private.give_up_grant(p_integration_id uuid)
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

create function public.svc_get_grant_revocation(p_id uuid)
returns table (integration_id uuid, lms_connection_id uuid, access_token_enc text, refresh_token_enc text)
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    perform private.write_audit('read', 'grant_revocations', p_id::text, null)
    from private.grant_revocations as r where r.id = p_id;
    return query
    select r.integration_id, r.lms_connection_id, r.access_token_enc, r.refresh_token_enc
    from private.grant_revocations as r where r.id = p_id;
end
$$;

comment on function public.svc_get_grant_revocation(uuid) is
    'The encrypted tokens of a grant to revoke, or no row once it is done; audited.';

create function public.svc_finish_grant_revocation(p_id uuid)
returns void
language sql
volatile
security definer
set search_path = ''
as $$
    delete from private.grant_revocations where id = p_id;
$$;

comment on function public.svc_finish_grant_revocation(uuid) is
    'Forgets the tokens of a grant that Canvas has revoked, or will not revoke. Safe to repeat.';
