-- Every event Stripe sent us, once. A stored event refuses its replay, so the row outlives the account and is never
-- deleted. Its payload is emptied 90 days after it was processed. Nobody can read it over the API.

create table public.payment_events (
    id uuid primary key default gen_random_uuid(),
    user_id uuid,
    stripe_event_id text not null,
    event_type text not null,
    payload jsonb not null default '{}',
    livemode boolean not null default false,
    api_version text,
    event_created timestamptz not null,
    processed boolean not null default false,
    error_message text,
    received_at timestamptz not null default now(),
    processed_at timestamptz,
    created_at timestamptz not null default now(),

    constraint payment_events_user_id_fkey
        foreign key (user_id) references public.profiles(user_id) on delete set null,
    constraint payment_events_stripe_event_id_key unique (stripe_event_id),
    constraint payment_events_stripe_event_id_check check (char_length(stripe_event_id) between 1 and 255),
    constraint payment_events_event_type_check check (char_length(event_type) between 1 and 255),
    constraint payment_events_payload_check check (jsonb_typeof(payload) = 'object'),
    constraint payment_events_api_version_check check (char_length(api_version) <= 100),
    constraint payment_events_error_message_check check (char_length(error_message) <= 500),
    constraint payment_events_processed_check check (processed = (processed_at is not null))
);

create index idx_payment_events_user_id on public.payment_events (user_id);
-- for events that wait
create index idx_payment_events_unprocessed on public.payment_events (received_at) where not processed;
-- for finding the person of a Stripe customer
create index idx_payment_events_checkout on public.payment_events ((payload #>> '{data,object,customer}'))
where event_type = 'checkout.session.completed';
-- for retention
create index idx_payment_events_processed_at on public.payment_events (processed_at)
where processed and payload <> '{}';

comment on table public.payment_events is 'Events of Stripe, stored before they are applied.';
comment on column public.payment_events.id is 'Identity of the row.';
comment on column public.payment_events.user_id is 'The person, once the event could be linked to one.';
comment on column public.payment_events.stripe_event_id is 'Stripe''s id of the event.';
comment on column public.payment_events.event_type is 'Stripe''s type.';
comment on column public.payment_events.payload is 'The event as Stripe sent it.';
comment on column public.payment_events.livemode is 'True for real money, false for a test.';
comment on column public.payment_events.api_version is 'Stripe''s API version that shaped the payload.';
comment on column public.payment_events.event_created is 'When it happened at Stripe, to the second.';
comment on column public.payment_events.processed is 'Whether it was applied or ignored; stays true.';
comment on column public.payment_events.error_message is 'Why it was ignored or still waits.';
comment on column public.payment_events.received_at is 'When it reached us.';
comment on column public.payment_events.processed_at is 'When it was applied or ignored.';
comment on column public.payment_events.created_at is 'When the row was written.';

create function private.keep_event_processed()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if not new.processed or new.processed_at is distinct from old.processed_at then
        raise exception 'the event was processed before: processed and processed_at cannot change'
            using errcode = '23514';
    end if;
    return new;
end
$$;

comment on function private.keep_event_processed() is
    'BEFORE UPDATE on payment_events: refuses to make a processed event unprocessed (23514).';

create trigger trg_payment_events_processed before update on public.payment_events
for each row when (old.processed) execute function private.keep_event_processed();
