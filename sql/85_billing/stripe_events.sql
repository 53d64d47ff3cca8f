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
