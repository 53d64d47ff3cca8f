-- The roles a person has in a course of the platform, by their last launch or the roster read since. Rights to rosters
-- and scores come from here, not from a token, which may be an hour old.

create table private.lti_memberships (
    deployment_id uuid not null,
    context_id text not null,
    user_id uuid not null,
    roles text[] not null default '{}',
    seen_at timestamptz not null default now(),
    left_at timestamptz,
    roster_at timestamptz,
    primary key (deployment_id, context_id, user_id),
    constraint lti_memberships_deployment_id_fkey
        foreign key (deployment_id)
        references private.lti_deployments(id) on delete cascade,
    constraint lti_memberships_user_id_fkey foreign key (user_id) references auth.users(id) on delete cascade,
    constraint lti_memberships_context_id_check check (char_length(context_id) between 1 and 255)
);

create index idx_lti_memberships_user_id on private.lti_memberships (user_id);

comment on table private.lti_memberships is
    'A person''s roles in a context of a platform, by their last launch or a later roster.';
comment on column private.lti_memberships.deployment_id is 'The deployment of the course.';
comment on column private.lti_memberships.context_id is 'The platform''s id of the course.';
comment on column private.lti_memberships.user_id is 'Our account.';
comment on column private.lti_memberships.roles is 'Context roles, as the platform writes them.';
comment on column private.lti_memberships.seen_at is 'When the person last launched, or a roster first listed them.';
comment on column private.lti_memberships.left_at is
    'When a roster no longer listed them. They have no rights unless seen_at is later.';
comment on column private.lti_memberships.roster_at is 'When a roster last listed them.';
