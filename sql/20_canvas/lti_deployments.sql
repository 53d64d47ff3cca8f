-- One deployment of our tool at a platform, and the school it belongs to. Two schools can share a registration.

create table private.lti_deployments (
    id uuid primary key default gen_random_uuid(),
    registration_id uuid not null,
    deployment_id text not null,
    lms_connection_id uuid not null,
    status text not null default 'pending',
    last_used_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint lti_deployments_registration_id_deployment_id_key unique (registration_id, deployment_id),
    constraint lti_deployments_registration_id_fkey
        foreign key (registration_id)
        references private.lti_registrations(id) on delete cascade,
    constraint lti_deployments_lms_connection_id_fkey
        foreign key (lms_connection_id)
        references public.lms_connections(id) on delete restrict,
    constraint lti_deployments_deployment_id_check check (char_length(deployment_id) between 1 and 255),
    constraint lti_deployments_status_check check (status in ('pending', 'active', 'disabled'))
);

create index idx_lti_deployments_lms_connection_id on private.lti_deployments (lms_connection_id);

comment on table private.lti_deployments is 'One installation of our tool at a platform.';
comment on column private.lti_deployments.id is 'Key.';
comment on column private.lti_deployments.registration_id is 'Under which client.';
comment on column private.lti_deployments.deployment_id is 'The platform''s id of it.';
comment on column private.lti_deployments.lms_connection_id is 'The school''s installation of Canvas it belongs to.';
comment on column private.lti_deployments.status is
    'pending. active: launches work. disabled: refused, also between launch and session.';
comment on column private.lti_deployments.last_used_at is 'When somebody last launched from it.';
comment on column private.lti_deployments.created_at is 'When it was registered.';
comment on column private.lti_deployments.updated_at is 'When the row last changed.';

create trigger trg_lti_deployments_updated_at before update on private.lti_deployments
for each row execute function public.set_updated_at();
