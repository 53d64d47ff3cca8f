-- The keys we sign with for platforms (deep links, service tokens). A retired key stays published as long as tokens
-- signed with it may be in use.

create table private.lti_signing_keys (
    kid text primary key,
    private_key_enc text not null,
    public_jwk jsonb not null,
    status text not null default 'active',
    created_at timestamptz not null default now(),
    retired_at timestamptz,
    constraint lti_signing_keys_private_key_enc_check check (private_key_enc ~ '^v[0-9]+:'),
    constraint lti_signing_keys_public_jwk_check check (jsonb_typeof(public_jwk) = 'object' and not public_jwk ? 'd'),
    constraint lti_signing_keys_status_check check (status in ('active', 'retired'))
);

comment on table private.lti_signing_keys is 'A key pair of our tool.';
comment on column private.lti_signing_keys.kid is 'Key id, as published.';
comment on column private.lti_signing_keys.private_key_enc is 'Envelope v<key number>:<base64url> of the private key.';
comment on column private.lti_signing_keys.public_jwk is 'The public half, as in our key set.';
comment on column private.lti_signing_keys.status is 'active: signs. retired: published only.';
comment on column private.lti_signing_keys.created_at is 'When it was made.';
comment on column private.lti_signing_keys.retired_at is 'When it stopped signing.';

create function public.svc_list_lti_signing_keys()
returns table (kid text, private_key_enc text, public_jwk jsonb, status text, created_at timestamptz)
language sql
stable
security definer
set search_path = ''
as $$
    select k.kid, k.private_key_enc, k.public_jwk, k.status, k.created_at
    from private.lti_signing_keys as k order by k.created_at desc, k.kid;
$$;

comment on function public.svc_list_lti_signing_keys() is 'Every key pair of our tool, newest first.';

create function public.svc_add_lti_signing_key(
    p_kid text,
    p_private_key_enc text,
    p_public_jwk jsonb,
    p_only_first boolean default false
)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_now constant timestamptz := private.clock();
begin
    if p_kid is null or p_private_key_enc is null or p_public_jwk is null or p_only_first is null then
        raise exception 'p_kid, p_private_key_enc, p_public_jwk and p_only_first must not be null'
            using errcode = '22004';
    end if;
    -- two processes that start at once must not both make the first key
    lock table private.lti_signing_keys in share row exclusive mode;
    if p_only_first and exists (select from private.lti_signing_keys where status = 'active') then
        return false;
    end if;
    delete from private.lti_signing_keys where status = 'retired' and retired_at < v_now - interval '1 day';
    -- the newest key until now goes on signing until platforms have read the new one
    update private.lti_signing_keys as k set status = 'retired', retired_at = v_now
    where k.status = 'active' and exists (
        select from private.lti_signing_keys as n
        where n.status = 'active' and (n.created_at, n.kid) > (k.created_at, k.kid)
    );
    insert into private.lti_signing_keys (kid, private_key_enc, public_jwk, created_at)
    values (p_kid, p_private_key_enc, p_public_jwk, v_now);
    perform private.write_audit('add', 'lti_signing_keys', p_kid, null);
    return true;
end
$$;

comment on function public.svc_add_lti_signing_key(text, text, jsonb, boolean) is
    'Adds a key pair; audited. The newest one until now stays active beside it, older ones are retired, and those '
    'retired more than a day ago are deleted. With p_only_first, false and no change when an active key exists.';
