-- A person's inbox. The services write it; the person can only dismiss a line.

create table public.notifications (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null,
    nudge_id uuid,
    type public.notification_type not null,
    status public.notification_status not null default 'pending',
    title text not null,
    body text,
    payload jsonb not null default '{}',
    event_key text,
    sent_at timestamptz,
    dismissed_at timestamptz,
    created_at timestamptz not null default now(),
    constraint notifications_nudge_id_key unique (nudge_id),
    constraint notifications_user_id_fkey
        foreign key (user_id)
        references public.profiles(user_id) on delete cascade,
    constraint notifications_nudge_id_fkey
        foreign key (nudge_id)
        references public.nudges(id) on delete set null,
    constraint notifications_title_check check (char_length(title) between 1 and 500),
    constraint notifications_body_check check (char_length(body) <= 10000),
    constraint notifications_payload_check check (jsonb_typeof(payload) = 'object'),
    constraint notifications_event_key_check check (char_length(event_key) between 1 and 200),
    constraint notifications_dismissed_at_check check ((status = 'dismissed') = (dismissed_at is not null))
);

-- a person is told of an event once, however often and from where it is reported
create unique index uq_notifications_event on public.notifications (user_id, event_key) where event_key is not null;
create index idx_notifications_user_id on public.notifications (user_id, created_at desc);
-- for the inbox: newest first, without dismissed lines
create index idx_notifications_user_id_undismissed on public.notifications (user_id, created_at desc)
where dismissed_at is null;
-- for delivery: what waits
create index idx_notifications_created_at on public.notifications (created_at) where status = 'pending';

comment on table public.notifications is 'A line of a person''s inbox.';
comment on column public.notifications.id is 'Key.';
comment on column public.notifications.user_id is 'Whose inbox.';
comment on column public.notifications.nudge_id is 'The nudge that caused it.';
comment on column public.notifications.type is 'What it is about.';
comment on column public.notifications.status is 'Its state; the person may set dismissed.';
comment on column public.notifications.title is 'One line.';
comment on column public.notifications.body is 'More, in plain text.';
comment on column public.notifications.payload is
    'Ids for links, such as assignment_id. For work with a due date due_at, and due_text, the same in the person''s '
    'zone with the weekday. Nothing that people wrote.';
comment on column public.notifications.event_key is
    'What it tells of, where that is told once: kind and ids. Null where lines may repeat.';
comment on column public.notifications.sent_at is 'When it first reached the inbox.';
comment on column public.notifications.dismissed_at is 'When the person dismissed it.';
comment on column public.notifications.created_at is 'When it was made.';

create function private.stamp_notification()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if new.status = 'sent' then
        new.sent_at := coalesce(new.sent_at, private.clock());
    elsif new.status = 'dismissed' then
        new.dismissed_at := coalesce(new.dismissed_at, private.clock());
    end if;
    return new;
end
$$;

comment on function private.stamp_notification() is
    'BEFORE INSERT OR UPDATE OF status on notifications: records when it was first sent or dismissed.';

create trigger trg_notifications_columns before update on public.notifications
for each row execute function private.keep_columns('status');
create trigger trg_notifications_stamp before insert or update of status on public.notifications
for each row execute function private.stamp_notification();

create trigger trg_notifications_status before insert or update of status on public.notifications
for each row execute function private.enforce_transition(
    'status', '>pending', '>sent',
    'pending>sent', 'pending>failed', 'pending>dismissed', 'sent>dismissed', 'failed>pending', 'failed>dismissed'
);
