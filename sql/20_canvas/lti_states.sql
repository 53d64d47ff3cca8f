-- One row per LTI login under way. It ties the launch to the login (state) and to the browser (binding).

create table private.lti_states (
    state_hash text primary key,
    nonce text not null,
    registration_id uuid not null,
    deployment_hint text,
    target_link_uri text not null,
    binding_hash text not null,
    storage_target text,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null default now() + interval '10 minutes',
    used_at timestamptz,
    constraint lti_states_registration_id_fkey
        foreign key (registration_id)
        references private.lti_registrations(id) on delete cascade,
    constraint lti_states_deployment_hint_check check (char_length(deployment_hint) <= 255),
    constraint lti_states_target_link_uri_check check (char_length(target_link_uri) <= 2000),
    constraint lti_states_storage_target_check check (char_length(storage_target) <= 255)
);

create index idx_lti_states_registration_id on private.lti_states (registration_id);
create index idx_lti_states_expires_at on private.lti_states (expires_at);

comment on table private.lti_states is 'An LTI login under way.';
comment on column private.lti_states.state_hash is 'SHA-256 of the state parameter.';
comment on column private.lti_states.nonce is 'Must come back inside the token.';
comment on column private.lti_states.registration_id is 'The registration whose platform must have signed the token.';
comment on column private.lti_states.deployment_hint is 'Deployment named at login; the token must name the same.';
comment on column private.lti_states.target_link_uri is 'Page asked for at login; the token must ask for the same.';
comment on column private.lti_states.binding_hash is 'SHA-256 of the secret this browser keeps.';
comment on column private.lti_states.storage_target is 'Frame of platform storage, where the platform offers it.';
comment on column private.lti_states.created_at is 'When the login began.';
comment on column private.lti_states.expires_at is 'When it stops being valid.';
comment on column private.lti_states.used_at is 'When the launch came; it can be used once.';
