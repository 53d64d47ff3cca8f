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
