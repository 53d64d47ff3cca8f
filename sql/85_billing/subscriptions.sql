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
