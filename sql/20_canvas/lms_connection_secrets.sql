-- The secret half of lms_connections. The functions encrypt it before they store it; the key never comes here.

create table private.lms_connection_secrets (
    lms_connection_id uuid primary key,
    oauth_client_secret_enc text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint lms_connection_secrets_lms_connection_id_fkey
        foreign key (lms_connection_id)
        references public.lms_connections(id) on delete cascade,
    constraint lms_connection_secrets_oauth_client_secret_enc_check check (oauth_client_secret_enc ~ '^v[0-9]+:')
);

comment on table private.lms_connection_secrets is 'Our client secret at an installation of Canvas, encrypted.';
comment on column private.lms_connection_secrets.lms_connection_id is 'Which installation.';
comment on column private.lms_connection_secrets.oauth_client_secret_enc is 'Envelope v<key number>:<base64url>.';
comment on column private.lms_connection_secrets.created_at is 'When a secret was first stored.';
comment on column private.lms_connection_secrets.updated_at is 'When it was last replaced.';

create trigger trg_lms_connection_secrets_updated_at before update on private.lms_connection_secrets
for each row execute function public.set_updated_at();

create function public.svc_put_lms_secret(p_lms_connection_id uuid, p_secret_enc text)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if p_lms_connection_id is null or p_secret_enc is null then
        raise exception 'p_lms_connection_id and p_secret_enc must not be null' using errcode = '22004';
    end if;
    if not exists (select from public.lms_connections where id = p_lms_connection_id) then
        raise exception 'no connection has the id in p_lms_connection_id' using errcode = 'PT404';
    end if;
    insert into private.lms_connection_secrets (lms_connection_id, oauth_client_secret_enc)
    values (p_lms_connection_id, p_secret_enc)
    on conflict (lms_connection_id) do update set oauth_client_secret_enc = excluded.oauth_client_secret_enc;
end
$$;

comment on function public.svc_put_lms_secret(uuid, text) is
    'Stores the encrypted client secret of an installation. PT404 when the connection does not exist, 23514 when the '
    'text is not an envelope.';

create function public.svc_get_lms_secret(p_lms_connection_id uuid)
returns text
language sql
stable
security definer
set search_path = ''
as $$
    select oauth_client_secret_enc from private.lms_connection_secrets where lms_connection_id = p_lms_connection_id;
$$;

comment on function public.svc_get_lms_secret(uuid) is 'The encrypted client secret of an installation, or null.';
