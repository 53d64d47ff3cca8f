-- Tables, functions and views of the room 85_billing.
-- Touches: 85_billing. Undo: drop what it creates, newest first; nothing in it destroys data.

set lock_timeout = '5s';

create type public.plan_name as enum ('free', 'basic', 'pro', 'enterprise');
comment on type public.plan_name is 'The plans, smallest first.';

create type public.subscription_status as enum (
    'incomplete', 'incomplete_expired', 'trialing', 'active', 'past_due', 'canceled', 'unpaid', 'paused'
);
comment on type public.subscription_status is
    'States as Stripe names and spells them. incomplete_expired and canceled are final.';

create type public.invoice_status as enum ('draft', 'open', 'paid', 'uncollectible', 'void');
comment on type public.invoice_status is 'States as Stripe names them. paid and void are final.';

-- What can be bought. Kept by staff. A plan somebody ever subscribed to cannot be deleted, only taken off sale.

create table public.plans (
    id uuid primary key default gen_random_uuid(),
    name public.plan_name not null,
    display_name text not null,
    description text,
    price_monthly int not null,
    price_annual int not null,
    currency char(3) not null default 'usd',
    features jsonb not null default '[]',
    limits jsonb not null default '{}',
    stripe_price_id_monthly text,
    stripe_price_id_annual text,
    is_active boolean not null default true,
    sort_order int not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint plans_name_key unique (name),
    constraint plans_stripe_price_id_monthly_key unique (stripe_price_id_monthly),
    constraint plans_stripe_price_id_annual_key unique (stripe_price_id_annual),
    constraint plans_display_name_check check (char_length(display_name) between 1 and 200),
    constraint plans_description_check check (char_length(description) <= 5000),
    constraint plans_price_monthly_check check (price_monthly >= 0),
    constraint plans_price_annual_check check (price_annual >= 0),
    constraint plans_currency_check check (currency ~ '^[a-z]{3}$'),
    constraint plans_features_check check (jsonb_typeof(features) = 'array'),
    constraint plans_limits_check check (jsonb_typeof(limits) = 'object'),
    constraint plans_stripe_price_id_monthly_check check (char_length(stripe_price_id_monthly) <= 255),
    constraint plans_stripe_price_id_annual_check check (char_length(stripe_price_id_annual) <= 255)
);

comment on table public.plans is 'Plans and their prices; the only table a visitor who is not signed in may read.';
comment on column public.plans.id is 'Identity of the row.';
comment on column public.plans.name is 'Which plan.';
comment on column public.plans.display_name is 'Name as customers see it.';
comment on column public.plans.description is 'What one gets.';
comment on column public.plans.price_monthly is 'Price of a month in the currency''s smallest unit.';
comment on column public.plans.price_annual is 'Price of a year in the currency''s smallest unit.';
comment on column public.plans.currency is 'ISO 4217, lower case as Stripe writes it.';
comment on column public.plans.features is 'What is included, as a list for display.';
comment on column public.plans.limits is
    'Limits by name: a number; null is no limit, 0 is none, a missing key is not part of the plan.';
comment on column public.plans.stripe_price_id_monthly is 'Stripe''s price of a month.';
comment on column public.plans.stripe_price_id_annual is 'Stripe''s price of a year.';
comment on column public.plans.is_active is 'On sale.';
comment on column public.plans.sort_order is 'Place in the list.';
comment on column public.plans.created_at is 'When the row was written.';
comment on column public.plans.updated_at is 'When the row last changed; kept by trigger.';

create trigger trg_plans_columns before update on public.plans
for each row execute function private.keep_columns(
    'name', 'display_name', 'description', 'price_monthly', 'price_annual', 'currency', 'features', 'limits',
    'stripe_price_id_monthly', 'stripe_price_id_annual', 'is_active', 'sort_order'
);
create trigger trg_plans_updated_at before update on public.plans
for each row execute function public.set_updated_at();

-- Who has which plan. A mirror of Stripe, written by svc_apply_stripe_event: the newest event wins. Stripe's final
-- states are never left, because Stripe does not use an id again. A free plan has no Stripe ids.

create table public.subscriptions (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null,
    plan_id uuid not null,
    stripe_subscription_id text,
    stripe_customer_id text,
    status public.subscription_status not null,
    current_period_start timestamptz,
    current_period_end timestamptz,
    trial_start timestamptz,
    trial_end timestamptz,
    cancel_at_period_end boolean not null default false,
    canceled_at timestamptz,
    last_event_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint subscriptions_user_id_fkey
        foreign key (user_id) references public.profiles(user_id) on delete cascade,
    constraint subscriptions_plan_id_fkey foreign key (plan_id) references public.plans(id) on delete restrict,
    constraint subscriptions_stripe_subscription_id_key unique (stripe_subscription_id),
    constraint subscriptions_stripe_subscription_id_check check (char_length(stripe_subscription_id) <= 255),
    constraint subscriptions_stripe_customer_id_check check (char_length(stripe_customer_id) <= 255)
);

create index idx_subscriptions_user_id on public.subscriptions (user_id);
create index idx_subscriptions_plan_id on public.subscriptions (plan_id);
create index idx_subscriptions_stripe_customer_id on public.subscriptions (stripe_customer_id);

comment on table public.subscriptions is 'Subscriptions of people to plans.';
comment on column public.subscriptions.id is 'Identity of the row.';
comment on column public.subscriptions.user_id is 'The customer.';
comment on column public.subscriptions.plan_id is 'The plan.';
comment on column public.subscriptions.stripe_subscription_id is 'Stripe''s id; null for a free plan.';
comment on column public.subscriptions.stripe_customer_id is 'Stripe''s id of the customer; null for a free plan.';
comment on column public.subscriptions.status is 'Its state in the newest event.';
comment on column public.subscriptions.current_period_start is 'Start of the paid period; the earliest of its items.';
comment on column public.subscriptions.current_period_end is 'End of the paid period; the latest of its items.';
comment on column public.subscriptions.trial_start is 'Start of the trial.';
comment on column public.subscriptions.trial_end is 'End of the trial.';
comment on column public.subscriptions.cancel_at_period_end is
    'Whether it will end; Stripe says so by cancel_at_period_end or by cancel_at.';
comment on column public.subscriptions.canceled_at is 'When it was cancelled.';
comment on column public.subscriptions.last_event_at is 'Time of the newest event applied; an older one is ignored.';
comment on column public.subscriptions.created_at is 'When the row was written.';
comment on column public.subscriptions.updated_at is 'When the row last changed; kept by trigger.';

create trigger trg_subscriptions_updated_at before update on public.subscriptions
for each row execute function public.set_updated_at();

-- What accounting must keep when an account is deleted: amounts and Stripe's ids, without names. Only the trigger of
-- invoices writes it.

create table private.billing_archive (
    id bigint primary key generated always as identity,
    stripe_invoice_id text not null,
    stripe_subscription_id text,
    amount_due bigint not null,
    amount_paid bigint not null,
    amount_remaining bigint not null,
    currency char(3) not null,
    status public.invoice_status not null,
    invoice_date date,
    archived_at timestamptz not null default now(),

    constraint billing_archive_stripe_invoice_id_key unique (stripe_invoice_id)
);

comment on table private.billing_archive is 'Invoices of deleted accounts, without the person.';
comment on column private.billing_archive.id is 'Identity of the row.';
comment on column private.billing_archive.stripe_invoice_id is 'Stripe''s id of the invoice.';
comment on column private.billing_archive.stripe_subscription_id is 'Stripe''s id of the subscription.';
comment on column private.billing_archive.amount_due is 'Amount due, in the currency''s smallest unit.';
comment on column private.billing_archive.amount_paid is 'Amount paid.';
comment on column private.billing_archive.amount_remaining is 'Amount not yet paid.';
comment on column private.billing_archive.currency is 'ISO 4217, lower case.';
comment on column private.billing_archive.status is 'State when it was archived.';
comment on column private.billing_archive.invoice_date is 'Day of the invoice.';
comment on column private.billing_archive.archived_at is 'When the invoice was deleted.';

-- A mirror of Stripe's invoices, written by svc_apply_stripe_event. An invoice that comes before its subscription keeps
-- Stripe's id and is linked later. Deleting an invoice puts its amounts into private.billing_archive.

create table public.invoices (
    id uuid primary key default gen_random_uuid(),
    subscription_id uuid,
    stripe_invoice_id text not null,
    stripe_subscription_id text,
    amount_due bigint not null,
    amount_paid bigint not null default 0,
    amount_remaining bigint not null default 0,
    currency char(3) not null default 'usd',
    status public.invoice_status not null,
    invoice_date date,
    due_date date,
    pdf_url text,
    hosted_invoice_url text,
    last_event_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint invoices_subscription_id_fkey
        foreign key (subscription_id) references public.subscriptions(id) on delete cascade,
    constraint invoices_stripe_invoice_id_key unique (stripe_invoice_id),
    constraint invoices_stripe_invoice_id_check check (char_length(stripe_invoice_id) between 1 and 255),
    constraint invoices_stripe_subscription_id_check check (char_length(stripe_subscription_id) <= 255),
    constraint invoices_amount_due_check check (amount_due >= 0),
    constraint invoices_amount_paid_check check (amount_paid >= 0),
    constraint invoices_amount_remaining_check check (amount_remaining >= 0),
    constraint invoices_currency_check check (currency ~ '^[a-z]{3}$'),
    constraint invoices_pdf_url_check check (char_length(pdf_url) <= 4000),
    constraint invoices_hosted_invoice_url_check check (char_length(hosted_invoice_url) <= 4000)
);

create index idx_invoices_subscription_id on public.invoices (subscription_id);
-- for invoices that wait for their subscription
create index idx_invoices_unlinked on public.invoices (stripe_subscription_id) where subscription_id is null;

comment on table public.invoices is 'Invoices of subscriptions.';
comment on column public.invoices.id is 'Identity of the row.';
comment on column public.invoices.subscription_id is 'The subscription; null until it is known, or for a single sale.';
comment on column public.invoices.stripe_invoice_id is 'Stripe''s id.';
comment on column public.invoices.stripe_subscription_id is 'Stripe''s id of the subscription.';
comment on column public.invoices.amount_due is 'Amount due, in the currency''s smallest unit.';
comment on column public.invoices.amount_paid is 'Amount paid.';
comment on column public.invoices.amount_remaining is 'Amount not yet paid.';
comment on column public.invoices.currency is 'ISO 4217, lower case as Stripe writes it.';
comment on column public.invoices.status is 'Its state in the newest event.';
comment on column public.invoices.invoice_date is 'The UTC day it was finalised; of a draft, the day it was made.';
comment on column public.invoices.due_date is 'The UTC day it is due; null when Stripe charges automatically.';
comment on column public.invoices.pdf_url is 'Stripe''s PDF.';
comment on column public.invoices.hosted_invoice_url is 'Stripe''s page.';
comment on column public.invoices.last_event_at is 'Time of the newest event applied; an older one is ignored.';
comment on column public.invoices.created_at is 'When the row was written.';
comment on column public.invoices.updated_at is 'When the row last changed; kept by trigger.';

create function private.archive_invoice()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    insert into private.billing_archive (
        stripe_invoice_id, stripe_subscription_id, amount_due, amount_paid, amount_remaining, currency, status,
        invoice_date
    )
    values (
        old.stripe_invoice_id, old.stripe_subscription_id, old.amount_due, old.amount_paid, old.amount_remaining,
        old.currency, old.status, old.invoice_date
    )
    on conflict (stripe_invoice_id) do update set
        amount_due = excluded.amount_due,
        amount_paid = excluded.amount_paid,
        amount_remaining = excluded.amount_remaining,
        status = excluded.status,
        archived_at = now();
    return old;
end
$$;

comment on function private.archive_invoice() is
    'BEFORE DELETE on invoices, cascades included: copies the amounts into private.billing_archive for accounting.';

create trigger trg_invoices_archive before delete on public.invoices
for each row execute function private.archive_invoice();
create trigger trg_invoices_updated_at before update on public.invoices
for each row execute function public.set_updated_at();

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

-- What the policies of this room ask about the caller.

create function private.my_subscriptions()
returns uuid[]
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    return array(select id from public.subscriptions where user_id = private.caller_id());
end
$$;

comment on function private.my_subscriptions() is 'Ids of the caller''s subscriptions, past ones too.';

-- Applies stored events to subscriptions and invoices. Stripe sends events in any order and more than once, with times
-- of one second's resolution. So an older event is ignored, of two in one second the later to arrive wins, and a final
-- state is never left. Payloads of old and new API versions are read: the current period moved to the items, an
-- invoice's subscription to its parent. Every call locks the rows it is about, so that two workers do not mix two
-- events.

create function private.stripe_time(p_value jsonb)
returns timestamptz
language sql
immutable
set search_path = ''
as $$
    select case when jsonb_typeof(p_value) = 'number' then to_timestamp((p_value #>> '{}')::double precision) end;
$$;

comment on function private.stripe_time(jsonb) is
    'Seconds since 1970, as Stripe sends them, as a time; null for anything else.';

create function private.stripe_id(p_value jsonb)
returns text
language sql
immutable
set search_path = ''
as $$
    select case jsonb_typeof(p_value) when 'string' then p_value #>> '{}' when 'object' then p_value ->> 'id' end;
$$;

comment on function private.stripe_id(jsonb) is 'The id of a reference, whether Stripe sent the id or the object.';

create function private.known_person(p_id text)
returns uuid
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    if p_id ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' then
        return (select user_id from public.profiles where user_id = p_id::uuid);
    end if;
    return null;
end
$$;

comment on function private.known_person(text) is
    'The id of the profile that the text names, or null: metadata of Stripe may hold anything.';

create function private.apply_stripe_subscription(p_event public.payment_events)
returns text
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_object constant jsonb := p_event.payload #> '{data,object}';
    v_id constant text := v_object ->> 'id';
    v_customer constant text := private.stripe_id(v_object -> 'customer');
    -- the object of a deletion event still has the state from before it
    v_status constant text := case p_event.event_type
        when 'customer.subscription.deleted' then 'canceled' else v_object ->> 'status'
    end;
    v_row public.subscriptions;
    v_user_id uuid;
    v_plan_id uuid;
    v_start timestamptz;
    v_end timestamptz;
begin
    if v_id is null then
        return 'ignored';
    end if;
    if v_status is null or v_status <> all (enum_range(null::public.subscription_status)::text[]) then
        update public.payment_events set error_message = left('unknown status ' || coalesce(v_status, 'null'), 500)
        where id = p_event.id;
        return 'ignored';
    end if;
    perform pg_advisory_xact_lock(hashtextextended('stripe ' || v_id, 0));
    select * into v_row from public.subscriptions where stripe_subscription_id = v_id for update;

    v_user_id := coalesce(
        v_row.user_id,
        private.known_person(v_object #>> '{metadata,user_id}'),
        (
            select user_id from public.subscriptions
            where stripe_customer_id = v_customer
            order by created_at desc limit 1
        ),
        (
            select user_id from public.payment_events
            where event_type = 'checkout.session.completed'
                and payload #>> '{data,object,customer}' = v_customer
                and user_id is not null
            order by event_created desc limit 1
        )
    );
    update public.payment_events set user_id = v_user_id
    where id = p_event.id and user_id is distinct from v_user_id;

    if v_row.status in ('canceled', 'incomplete_expired') or p_event.event_created < v_row.last_event_at then
        return 'stale';
    end if;

    select p.id into v_plan_id
    from jsonb_path_query(v_object, '$.items.data[*]') with ordinality as item (value, place)
    join public.plans as p
        on coalesce(private.stripe_id(item.value -> 'price'), private.stripe_id(item.value -> 'plan'))
        in (p.stripe_price_id_monthly, p.stripe_price_id_annual)
    order by item.place
    limit 1;
    v_plan_id := coalesce(v_plan_id, v_row.plan_id);
    if v_user_id is null or v_plan_id is null then
        update public.payment_events
        set error_message = case
            when v_user_id is null then 'no person for this customer' else 'no plan for its prices'
        end
        where id = p_event.id;
        return 'unlinked';
    end if;

    select
        min(private.stripe_time(item -> 'current_period_start')), max(private.stripe_time(item -> 'current_period_end'))
    into v_start, v_end
    from jsonb_path_query(v_object, '$.items.data[*]') as item;

    insert into public.subscriptions as s (
        user_id, plan_id, stripe_subscription_id, stripe_customer_id, status, current_period_start,
        current_period_end, trial_start, trial_end, cancel_at_period_end, canceled_at, last_event_at
    )
    values (
        v_user_id,
        v_plan_id,
        v_id,
        v_customer,
        v_status::public.subscription_status,
        coalesce(v_start, private.stripe_time(v_object -> 'current_period_start')),
        coalesce(v_end, private.stripe_time(v_object -> 'current_period_end')),
        private.stripe_time(v_object -> 'trial_start'),
        private.stripe_time(v_object -> 'trial_end'),
        coalesce(v_object -> 'cancel_at_period_end' = 'true', false)
        or private.stripe_time(v_object -> 'cancel_at') is not null,
        private.stripe_time(v_object -> 'canceled_at'),
        p_event.event_created
    )
    on conflict (stripe_subscription_id) do update set
        plan_id = excluded.plan_id,
        stripe_customer_id = coalesce(excluded.stripe_customer_id, s.stripe_customer_id),
        status = excluded.status,
        current_period_start = coalesce(excluded.current_period_start, s.current_period_start),
        current_period_end = coalesce(excluded.current_period_end, s.current_period_end),
        trial_start = excluded.trial_start,
        trial_end = excluded.trial_end,
        cancel_at_period_end = excluded.cancel_at_period_end,
        canceled_at = excluded.canceled_at,
        last_event_at = excluded.last_event_at
    returning * into v_row;
    update public.invoices set subscription_id = v_row.id
    where stripe_subscription_id = v_id and subscription_id is null;
    return 'applied';
end
$$;

comment on function private.apply_stripe_subscription(public.payment_events) is
    'Applies a customer.subscription.* event. Returns applied, stale, ignored, or unlinked while the person or the '
    'plan is unknown.';

create function private.apply_stripe_invoice(p_event public.payment_events)
returns text
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_object constant jsonb := p_event.payload #> '{data,object}';
    v_id constant text := v_object ->> 'id';
    v_stripe_subscription_id constant text := coalesce(
        private.stripe_id(v_object #> '{parent,subscription_details,subscription}'),
        private.stripe_id(v_object -> 'subscription')
    );
    v_status constant text := v_object ->> 'status';
    v_rank constant text[] := '{draft,open,uncollectible,paid,void}';
    v_row public.invoices;
    v_subscription public.subscriptions;
begin
    -- the preview of an upcoming invoice has no id
    if v_id is null then
        return 'ignored';
    end if;
    if v_status is null or v_status <> all (v_rank) then
        update public.payment_events set error_message = left('unknown status ' || coalesce(v_status, 'null'), 500)
        where id = p_event.id;
        return 'ignored';
    end if;
    -- lock the subscription first, as its own events do: one of them may be linking this invoice at this moment
    if v_stripe_subscription_id is not null then
        perform pg_advisory_xact_lock(hashtextextended('stripe ' || v_stripe_subscription_id, 0));
        select * into v_subscription from public.subscriptions
        where stripe_subscription_id = v_stripe_subscription_id;
    end if;
    perform pg_advisory_xact_lock(hashtextextended('stripe ' || v_id, 0));
    update public.payment_events set user_id = v_subscription.user_id
    where id = p_event.id and v_subscription.user_id is not null;

    select * into v_row from public.invoices where stripe_invoice_id = v_id for update;
    if v_row.status in ('paid', 'void') and v_status <> v_row.status::text
        or p_event.event_created < v_row.last_event_at
        or p_event.event_created = v_row.last_event_at
        and array_position(v_rank, v_status) < array_position(v_rank, v_row.status::text) then
        return 'stale';
    end if;
    insert into public.invoices as i (
        subscription_id, stripe_invoice_id, stripe_subscription_id, amount_due, amount_paid, amount_remaining,
        currency, status, invoice_date, due_date, pdf_url, hosted_invoice_url, last_event_at
    )
    values (
        v_subscription.id,
        v_id,
        v_stripe_subscription_id,
        -- a credit makes the amount negative; then nothing is due
        greatest(coalesce((v_object ->> 'amount_due')::bigint, 0), 0),
        greatest(coalesce((v_object ->> 'amount_paid')::bigint, 0), 0),
        greatest(coalesce((v_object ->> 'amount_remaining')::bigint, 0), 0),
        coalesce(lower(v_object ->> 'currency'), 'usd'),
        v_status::public.invoice_status,
        (
            coalesce(
                private.stripe_time(v_object #> '{status_transitions,finalized_at}'),
                private.stripe_time(v_object -> 'created')
            ) at time zone 'UTC'
        )::date,
        (private.stripe_time(v_object -> 'due_date') at time zone 'UTC')::date,
        v_object ->> 'invoice_pdf',
        v_object ->> 'hosted_invoice_url',
        p_event.event_created
    )
    on conflict (stripe_invoice_id) do update set
        subscription_id = coalesce(excluded.subscription_id, i.subscription_id),
        stripe_subscription_id = coalesce(excluded.stripe_subscription_id, i.stripe_subscription_id),
        amount_due = excluded.amount_due,
        amount_paid = excluded.amount_paid,
        amount_remaining = excluded.amount_remaining,
        currency = excluded.currency,
        status = excluded.status,
        invoice_date = coalesce(excluded.invoice_date, i.invoice_date),
        due_date = coalesce(excluded.due_date, i.due_date),
        pdf_url = coalesce(excluded.pdf_url, i.pdf_url),
        hosted_invoice_url = coalesce(excluded.hosted_invoice_url, i.hosted_invoice_url),
        last_event_at = excluded.last_event_at;
    return 'applied';
end
$$;

comment on function private.apply_stripe_invoice(public.payment_events) is
    'Applies an invoice.* event. Returns applied, stale or ignored. An invoice without its subscription waits to be '
    'linked.';

create function private.apply_stripe_checkout(p_event public.payment_events)
returns text
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_object constant jsonb := p_event.payload #> '{data,object}';
    v_customer constant text := private.stripe_id(v_object -> 'customer');
    v_user_id constant uuid := coalesce(
        private.known_person(v_object ->> 'client_reference_id'),
        private.known_person(v_object #>> '{metadata,user_id}')
    );
    v_waiting text;
begin
    if v_user_id is null then
        update public.payment_events set error_message = 'no person in this checkout' where id = p_event.id;
        return 'ignored';
    end if;
    update public.payment_events set user_id = v_user_id where id = p_event.id;
    -- events of this customer that came before the person was known
    for v_waiting in
        select stripe_event_id from public.payment_events
        where not processed
            and event_type like 'customer.subscription.%'
            and private.stripe_id(payload #> '{data,object,customer}') = v_customer
        order by event_created, received_at
    loop
        perform public.svc_apply_stripe_event(v_waiting);
    end loop;
    return 'applied';
end
$$;

comment on function private.apply_stripe_checkout(public.payment_events) is
    'Links a Stripe customer to a person by checkout.session.completed, and applies the events that waited for it.';

create function public.svc_record_payment_event(
    p_stripe_event_id text,
    p_event_type text,
    p_payload jsonb,
    p_event_created timestamptz,
    p_livemode boolean,
    p_api_version text
)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if num_nulls(p_stripe_event_id, p_event_type, p_payload, p_event_created, p_livemode) > 0 then
        raise exception 'of the parameters only p_api_version may be null' using errcode = '22004';
    end if;
    perform private.check_time('p_event_created', p_event_created);
    insert into public.payment_events (
        stripe_event_id, event_type, payload, event_created, livemode, api_version
    )
    values (p_stripe_event_id, p_event_type, p_payload, p_event_created, p_livemode, p_api_version)
    on conflict (stripe_event_id) do nothing;
    return found;
end
$$;

comment on function public.svc_record_payment_event(text, text, jsonb, timestamptz, boolean, text) is
    'Stores an event whose signature was verified. True when it is new, false on a replay.';

create function public.svc_apply_stripe_event(p_stripe_event_id text)
returns text
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_event public.payment_events;
    v_outcome text;
begin
    if p_stripe_event_id is null then
        raise exception 'p_stripe_event_id must not be null' using errcode = '22004';
    end if;
    select * into v_event from public.payment_events where stripe_event_id = p_stripe_event_id for update;
    if not found then
        raise exception 'no stored event has the id in p_stripe_event_id' using errcode = 'PT404';
    end if;
    if v_event.processed then
        return 'done';
    end if;
    v_outcome := case
        when v_event.event_type like 'customer.subscription.%' then private.apply_stripe_subscription(v_event)
        when v_event.event_type like 'invoice.%' then private.apply_stripe_invoice(v_event)
        when v_event.event_type = 'checkout.session.completed' then private.apply_stripe_checkout(v_event)
        else 'ignored'
    end;
    -- an unlinked event stays open: a later event may name its person or plan
    if v_outcome <> 'unlinked' then
        update public.payment_events set
            processed = true,
            processed_at = private.clock(),
            error_message = case when v_outcome = 'ignored' then error_message end
        where id = v_event.id;
    end if;
    return v_outcome;
end
$$;

comment on function public.svc_apply_stripe_event(text) is
    'Applies a stored event. Returns applied; stale (older than the last one, or the state is final); ignored (of no '
    'use here); unlinked (person or plan not known yet, stays open); done (applied before). PT404 for an unknown '
    'event.';

-- What this room forgets. Called by svc_purge_expired (90_platform).

create function private.purge_billing()
returns jsonb
language sql
volatile
security definer
set search_path = ''
as $$
    -- the row stays: it is what makes a replay harmless
    with emptied as (
        update public.payment_events set payload = '{}' where id in (
            select id from public.payment_events
            where processed and payload <> '{}' and processed_at < private.clock() - interval '90 days'
            limit 5000
        )
        returning 1
    )
    select jsonb_build_object('payment_events', count(*)) from emptied;
$$;

comment on function private.purge_billing() is
    'Empties the payloads of events 90 days after they were processed; how many, by name.';
