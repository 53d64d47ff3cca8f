-- Tables, functions and views of the room 40_planner.
-- Touches: 40_planner. Undo: drop what it creates, newest first; nothing in it destroys data.

set lock_timeout = '5s';

-- Values stand in the order of the life cycle, not of the alphabet.

create type public.study_block_status as enum ('planned', 'in_progress', 'completed', 'missed', 'cancelled');
comment on type public.study_block_status is
    'What became of a planned block; a missed or cancelled one can be planned again.';

create type public.notification_type as enum (
    'assignment_new', 'assignment_due', 'headstart_ready', 'headstart_failed', 'lecture_ready', 'lecture_failed',
    'study_block_reminder', 'nudge', 'integration_error', 'billing', 'system'
);
comment on type public.notification_type is 'What a notification is about; the front end chooses icon and link by it.';

create type public.notification_status as enum ('pending', 'sent', 'dismissed', 'failed');
comment on type public.notification_status is
    'pending: to be delivered. sent: in the inbox. dismissed: by the person. failed: delivery was given up.';

create type public.nudge_type as enum ('login', 'inactivity', 'cross_subject');
comment on type public.nudge_type is 'Why a nudge was made: at sign-in, after silence, or to point at another subject.';

create type public.nudge_channel as enum ('in_app', 'email', 'both');
comment on type public.nudge_channel is 'Where a nudge goes.';

-- Time that a person sets aside for study. The person writes it; the calendar service writes the calendar columns.
-- Blocks may overlap, as entries of a calendar may.

create table public.study_blocks (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null default private.caller_id(),
    assignment_id uuid,
    start_at timestamptz not null,
    end_at timestamptz not null,
    status public.study_block_status not null default 'planned',
    calendar_provider public.integration_provider,
    calendar_event_id text,
    notes text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint study_blocks_user_id_calendar_provider_calendar_event_id_key
        unique (user_id, calendar_provider, calendar_event_id),
    constraint study_blocks_user_id_fkey
        foreign key (user_id)
        references public.profiles(user_id) on delete cascade,
    -- the block stays, so that its calendar event can still be removed
    constraint study_blocks_assignment_id_fkey
        foreign key (assignment_id, user_id)
        references public.assignments(id, user_id) on delete set null (assignment_id),
    -- infinite times and years that clients cannot read
    constraint study_blocks_start_at_check check (start_at >= '0001-01-01 00:00:00+00'),
    constraint study_blocks_end_at_check check (end_at > start_at and end_at < '10000-01-01 00:00:00+00'),
    constraint study_blocks_calendar_provider_check check (calendar_provider <> 'canvas'),
    constraint study_blocks_calendar_event_id_check
        check (calendar_event_id is null or calendar_provider is not null),
    constraint study_blocks_notes_check check (char_length(notes) <= 10000)
);

create index idx_study_blocks_user_id on public.study_blocks (user_id, start_at);
create index idx_study_blocks_assignment_id on public.study_blocks (assignment_id, user_id);

comment on table public.study_blocks is 'Time set aside for study.';
comment on column public.study_blocks.id is 'Key.';
comment on column public.study_blocks.user_id is 'Whose time.';
comment on column public.study_blocks.assignment_id is 'The assignment it is for, if any.';
comment on column public.study_blocks.start_at is 'When it begins.';
comment on column public.study_blocks.end_at is 'When it ends; after its begin.';
comment on column public.study_blocks.status is 'What became of it.';
comment on column public.study_blocks.calendar_provider is 'The calendar that has its event.';
comment on column public.study_blocks.calendar_event_id is 'Id of the event in that calendar.';
comment on column public.study_blocks.notes is 'The person''s notes.';
comment on column public.study_blocks.created_at is 'When it was planned.';
comment on column public.study_blocks.updated_at is 'When the row last changed.';

create trigger trg_study_blocks_columns before update on public.study_blocks
for each row execute function private.keep_columns('assignment_id', 'start_at', 'end_at', 'notes', 'status');
create trigger trg_study_blocks_status before insert or update of status on public.study_blocks
for each row execute function private.enforce_transition(
    'status', '>planned',
    'planned>in_progress', 'planned>completed', 'planned>missed', 'planned>cancelled',
    'in_progress>completed', 'in_progress>cancelled',
    'missed>planned', 'missed>completed', 'cancelled>planned'
);

create trigger trg_study_blocks_updated_at before update on public.study_blocks
for each row execute function public.set_updated_at();

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
    constraint notifications_dismissed_at_check check ((status = 'dismissed') = (dismissed_at is not null))
);

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
comment on column public.notifications.payload is 'Ids for links, such as assignment_id; nothing that people wrote.';
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

-- Nudges are made only here, so that the person's daily quota holds however many workers run.

create function public.svc_create_nudge(
    p_user_id uuid,
    p_type text,
    p_channel text,
    p_message text,
    p_trigger_reason text default null,
    p_suggestions text[] default '{}'
)
returns uuid
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_cap smallint;
    v_zone text;
    v_day timestamp;
    v_count bigint;
    v_id uuid;
    v_in_app constant boolean := p_channel in ('in_app', 'both');
begin
    if p_user_id is null or p_type is null or p_channel is null or p_message is null then
        raise exception 'p_user_id, p_type, p_channel and p_message must not be null' using errcode = '22004';
    end if;
    if p_type <> all (enum_range(null::public.nudge_type)::text[]) then
        raise exception 'p_type must be one of %', array_to_string(enum_range(null::public.nudge_type), ', ')
            using errcode = '22023';
    end if;
    if p_channel <> all (enum_range(null::public.nudge_channel)::text[]) then
        raise exception 'p_channel must be one of %', array_to_string(enum_range(null::public.nudge_channel), ', ')
            using errcode = '22023';
    end if;
    -- of two calls at once the second waits here and counts the first
    select nudge_frequency_cap into v_cap from public.user_settings where user_id = p_user_id for update;
    if not found then
        raise exception 'no person has the id in p_user_id' using errcode = 'PT404';
    end if;
    select timezone into v_zone from public.profiles where user_id = p_user_id;
    v_day := date_trunc('day', private.clock() at time zone v_zone);
    -- both ends are local times, because the day of a clock change has 23 or 25 hours
    select count(*) into v_count from public.nudges
    where user_id = p_user_id
        and created_at >= v_day at time zone v_zone
        and created_at < (v_day + interval '1 day') at time zone v_zone;
    if v_count >= v_cap then
        return null;
    end if;

    insert into public.nudges (user_id, type, channel, message, trigger_reason, suggestions_made, sent_at, created_at)
    values (
        p_user_id, p_type::public.nudge_type, p_channel::public.nudge_channel, p_message, p_trigger_reason,
        coalesce(p_suggestions, '{}'), case when v_in_app then private.clock() end, private.clock()
    )
    returning id into v_id;
    if v_in_app then
        insert into public.notifications (user_id, nudge_id, type, status, title, body, created_at)
        values (p_user_id, v_id, 'nudge', 'sent', 'A reminder for your studies', p_message, private.clock());
    end if;
    return v_id;
end
$$;

comment on function public.svc_create_nudge(uuid, text, text, text, text, text[]) is
    'Makes a nudge and returns its id; null when the person already had nudge_frequency_cap of them on this local '
    'day. For in_app and both it writes the inbox line, which counts as sent; email alone stays unsent until '
    'svc_mark_nudge_sent. PT404 when the person does not exist, 22023 for an unknown type or channel.';

create function public.svc_mark_nudge_sent(p_id uuid)
returns uuid
language sql
volatile
security definer
set search_path = ''
as $$
    update public.nudges set sent_at = coalesce(sent_at, private.clock()) where id = p_id returning id;
$$;

comment on function public.svc_mark_nudge_sent(uuid) is
    'Records that the mail of a nudge was sent; the first time stays. Returns the id, or null when the nudge does not '
    'exist.';

create function private.mark_nudge(p_id uuid, p_event text)
returns public.nudges
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_caller constant uuid := private.require_caller();
    v_nudge public.nudges;
begin
    if p_id is null or p_event is null then
        raise exception 'p_id and p_event must not be null' using errcode = '22004';
    end if;
    if p_event not in ('opened', 'clicked') then
        raise exception 'p_event must be opened or clicked' using errcode = '22023';
    end if;
    update public.nudges
    set opened_at = coalesce(opened_at, private.clock()),
        clicked_at = case when p_event = 'clicked' then coalesce(clicked_at, private.clock()) else clicked_at end
    where id = p_id and user_id = v_caller
    returning * into v_nudge;
    if not found then
        raise exception 'no nudge of yours has the id in p_id' using errcode = 'PT404';
    end if;
    return v_nudge;
end
$$;

comment on function private.mark_nudge(uuid, text) is 'Behind public.mark_nudge().';

create function public.mark_nudge(p_id uuid, p_event text)
returns public.nudges
language sql
volatile
set search_path = ''
begin atomic
    select private.mark_nudge(p_id, p_event);
end;

comment on function public.mark_nudge(uuid, text) is
    'Records that the caller opened or clicked a nudge of theirs. The first time stays, and a click counts as '
    'opening. PT404 for another person''s, 22023 for another event.';

-- What this room forgets. Called by svc_purge_expired (90_platform).

create function private.purge_planner()
returns jsonb
language sql
volatile
security definer
set search_path = ''
as $$
    select jsonb_build_object(
        'notifications', private.purge('public.notifications', 'coalesce(dismissed_at, sent_at)', '90 days'),
        'nudges', private.purge('public.nudges', 'created_at', '400 days')
    );
$$;

comment on function private.purge_planner() is 'Deletes what this room no longer keeps; how many rows went, by name.';
