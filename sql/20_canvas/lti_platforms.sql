-- A platform of LTI 1.3 whose signatures we trust. The issuer alone does not identify it: self-hosted Canvas keeps
-- Instructure's issuer string with its own keys, so a platform is the pair of issuer and key set.

create table private.lti_platforms (
    id uuid primary key default gen_random_uuid(),
    issuer text not null,
    jwks_url text not null,
    auth_url text not null,
    token_url text not null,
    name text not null,
    hosts text[] not null default '{}',
    status text not null default 'pending',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint lti_platforms_issuer_jwks_url_key unique (issuer, jwks_url),
    constraint lti_platforms_issuer_check check (char_length(issuer) between 1 and 2000),
    -- plain http only to a loopback host, for tests and the demo
    constraint lti_platforms_jwks_url_check
        check (jwks_url ~ '^(https://|http://(localhost|127\.0\.0\.1)(:[0-9]+)?/)' and char_length(jwks_url) <= 2000),
    constraint lti_platforms_auth_url_check
        check (auth_url ~ '^(https://|http://(localhost|127\.0\.0\.1)(:[0-9]+)?/)' and char_length(auth_url) <= 2000),
    constraint lti_platforms_token_url_check
        check (token_url ~ '^(https://|http://(localhost|127\.0\.0\.1)(:[0-9]+)?/)' and char_length(token_url) <= 2000),
    constraint lti_platforms_name_check check (char_length(name) between 1 and 200),
    constraint lti_platforms_status_check check (status in ('pending', 'active', 'disabled'))
);

comment on table private.lti_platforms is 'A learning platform whose launches we can verify.';
comment on column private.lti_platforms.id is 'Key.';
comment on column private.lti_platforms.issuer is 'The iss claim of its tokens.';
comment on column private.lti_platforms.jwks_url is 'Where its public keys are.';
comment on column private.lti_platforms.auth_url is 'Where a launch is authorized; the browser goes there.';
comment on column private.lti_platforms.token_url is 'Where we get tokens for its services.';
comment on column private.lti_platforms.name is 'What people call it.';
comment on column private.lti_platforms.hosts is 'Hosts that may show us in a frame.';
comment on column private.lti_platforms.status is 'pending: asked for. active: launches work. disabled: none do.';
comment on column private.lti_platforms.created_at is 'When it was registered.';
comment on column private.lti_platforms.updated_at is 'When the row last changed.';

create trigger trg_lti_platforms_updated_at before update on private.lti_platforms
for each row execute function public.set_updated_at();
