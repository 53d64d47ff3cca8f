-- A verified launch, for the calls that follow from it (deep links, rosters, scores). The service removes names,
-- addresses and other personal data from the claims before it stores them.

create table private.lti_launches (
    id uuid primary key default gen_random_uuid(),
    identity_id uuid not null,
    deployment_id uuid not null,
    context_id text,
    message_type text not null,
    claims jsonb not null default '{}',
    expires_at timestamptz not null,
    created_at timestamptz not null default now(),
    constraint lti_launches_identity_id_fkey
        foreign key (identity_id)
        references private.lti_identities(id) on delete cascade,
    constraint lti_launches_deployment_id_fkey
        foreign key (deployment_id)
        references private.lti_deployments(id) on delete cascade,
    constraint lti_launches_context_id_check check (char_length(context_id) between 1 and 255),
    constraint lti_launches_claims_check check (jsonb_typeof(claims) = 'object')
);

create index idx_lti_launches_identity_id on private.lti_launches (identity_id);
create index idx_lti_launches_deployment_id on private.lti_launches (deployment_id);
create index idx_lti_launches_expires_at on private.lti_launches (expires_at);

comment on table private.lti_launches is 'A launch that was verified.';
comment on column private.lti_launches.id is 'Key; the front end knows it.';
comment on column private.lti_launches.identity_id is 'Who launched.';
comment on column private.lti_launches.deployment_id is 'The deployment it came from.';
comment on column private.lti_launches.context_id is 'The platform''s id of the course, if there was one.';
comment on column private.lti_launches.message_type is 'LtiResourceLinkRequest or LtiDeepLinkingRequest.';
comment on column private.lti_launches.claims is 'Claims needed later, without personal data.';
comment on column private.lti_launches.expires_at is 'When it can no longer be used.';
comment on column private.lti_launches.created_at is 'When it was verified.';
