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
