-- Our developer key at a platform.

create table private.lti_registrations (
    id uuid primary key default gen_random_uuid(),
    platform_id uuid not null,
    client_id text not null,
    status text not null default 'pending',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint lti_registrations_platform_id_client_id_key unique (platform_id, client_id),
    constraint lti_registrations_platform_id_fkey
        foreign key (platform_id)
        references private.lti_platforms(id) on delete cascade,
    constraint lti_registrations_client_id_check check (char_length(client_id) between 1 and 255),
    constraint lti_registrations_status_check check (status in ('pending', 'active', 'disabled'))
);

comment on table private.lti_registrations is 'Our client at a platform.';
comment on column private.lti_registrations.id is 'Key.';
comment on column private.lti_registrations.platform_id is 'At which platform.';
comment on column private.lti_registrations.client_id is 'The id the platform gave us; the aud claim of its tokens.';
comment on column private.lti_registrations.status is 'pending: waits for staff. active. disabled.';
comment on column private.lti_registrations.created_at is 'When it was registered.';
comment on column private.lti_registrations.updated_at is 'When the row last changed.';

create trigger trg_lti_registrations_updated_at before update on private.lti_registrations
for each row execute function public.set_updated_at();
