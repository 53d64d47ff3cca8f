-- The record of a nudge and what came of it, for the daily quota and engagement figures. The inbox line it causes is a
-- notification; dismissing that line must not erase this record. svc_create_nudge writes it, and the person's
-- mark_nudge sets opened and clicked.

create table public.nudges (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null,
    type public.nudge_type not null,
    channel public.nudge_channel not null,
    message text not null,
    personalized boolean not null default true,
    sent_at timestamptz,
    opened_at timestamptz,
    clicked_at timestamptz,
    trigger_reason text,
    suggestions_made text[] not null default '{}',
    created_at timestamptz not null default now(),
    constraint nudges_user_id_fkey
        foreign key (user_id)
        references public.profiles(user_id) on delete cascade,
    constraint nudges_message_check check (char_length(message) between 1 and 5000),
    constraint nudges_clicked_at_check check (clicked_at is null or opened_at is not null)
);

create index idx_nudges_user on public.nudges (user_id, created_at desc);
create index idx_nudges_type on public.nudges (type, sent_at);
create index idx_nudges_sent on public.nudges (sent_at);
create index idx_nudges_opened on public.nudges (opened_at) where opened_at is not null;

comment on table public.nudges is 'A reminder sent to a person, and whether it helped.';
comment on column public.nudges.id is 'Key.';
comment on column public.nudges.user_id is 'To whom.';
comment on column public.nudges.type is 'Why it was made.';
comment on column public.nudges.channel is 'Where it goes.';
comment on column public.nudges.message is 'What it says.';
comment on column public.nudges.personalized is 'Whether it was written for this person.';
comment on column public.nudges.sent_at is
    'When it was sent; no default, because an unsent mail must not count as sent.';
comment on column public.nudges.opened_at is 'When it was first opened.';
comment on column public.nudges.clicked_at is 'When it was first followed.';
comment on column public.nudges.trigger_reason is 'What caused it, for staff.';
comment on column public.nudges.suggestions_made is 'What it suggested.';
comment on column public.nudges.created_at is 'When it was made; counts for the daily quota.';
