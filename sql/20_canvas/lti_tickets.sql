-- The short-lived proof that a launch gives the browser, exchanged once for a session. Only its hash is stored.

create table private.lti_tickets (
    ticket_hash text primary key,
    launch_id uuid not null,
    binding_hash text not null,
    expires_at timestamptz not null,
    used_at timestamptz,
    constraint lti_tickets_launch_id_fkey
        foreign key (launch_id)
        references private.lti_launches(id) on delete cascade
);

create index idx_lti_tickets_launch_id on private.lti_tickets (launch_id);
create index idx_lti_tickets_expires_at on private.lti_tickets (expires_at);

comment on table private.lti_tickets is 'A launch waiting to become a session.';
comment on column private.lti_tickets.ticket_hash is 'SHA-256 of the ticket.';
comment on column private.lti_tickets.launch_id is 'Which launch.';
comment on column private.lti_tickets.binding_hash is 'SHA-256 of the secret the browser must show.';
comment on column private.lti_tickets.expires_at is 'When it stops being valid.';
comment on column private.lti_tickets.used_at is 'When it was exchanged; it can be used once.';
