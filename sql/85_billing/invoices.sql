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
