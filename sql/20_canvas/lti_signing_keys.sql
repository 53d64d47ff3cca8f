-- The keys we sign with for platforms (deep links, service tokens). A retired key stays published as long as tokens
-- signed with it may be in use.

create table private.lti_signing_keys (
    kid text primary key,
    private_key_enc text not null,
    public_jwk jsonb not null,
    status text not null default 'active',
    created_at timestamptz not null default now(),
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
