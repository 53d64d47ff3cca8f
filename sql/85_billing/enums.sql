create type public.plan_name as enum ('free', 'basic', 'pro', 'enterprise');
comment on type public.plan_name is 'The plans, smallest first.';

create type public.subscription_status as enum (
    'incomplete', 'incomplete_expired', 'trialing', 'active', 'past_due', 'canceled', 'unpaid', 'paused'
);
comment on type public.subscription_status is
    'States as Stripe names and spells them. incomplete_expired and canceled are final.';

create type public.invoice_status as enum ('draft', 'open', 'paid', 'uncollectible', 'void');
comment on type public.invoice_status is 'States as Stripe names them. paid and void are final.';
