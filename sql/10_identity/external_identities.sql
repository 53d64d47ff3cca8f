-- Who a person is at an identity provider that nobody signs in with any more: the old Cognito subject. LTI subjects
-- have their own table, because a Canvas platform is more than an issuer string. Only the service reads or writes it.

create table private.external_identities (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null,
    kind text not null,
    issuer text not null,
    subject text not null,
    created_at timestamptz not null default now(),
    constraint external_identities_issuer_subject_key unique (issuer, subject),
    constraint external_identities_user_id_fkey
        foreign key (user_id)
        references auth.users(id) on delete cascade,
    constraint external_identities_kind_check check (kind = 'cognito'),
    constraint external_identities_issuer_check check (char_length(issuer) between 1 and 2000),
    constraint external_identities_subject_check check (char_length(subject) between 1 and 255)
);

create index idx_external_identities_user_id on private.external_identities (user_id);

comment on table private.external_identities is 'The same person at an outside identity provider.';
comment on column private.external_identities.id is 'Key.';
comment on column private.external_identities.user_id is 'Our account.';
comment on column private.external_identities.kind is 'The kind of provider; only cognito is known.';
comment on column private.external_identities.issuer is 'The provider''s issuer address.';
comment on column private.external_identities.subject is 'The person''s id at the provider.';
comment on column private.external_identities.created_at is 'When the two were linked.';

create function public.svc_link_external_identity(p_user_id uuid, p_kind text, p_issuer text, p_subject text)
returns uuid
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_id uuid;
begin
    if p_user_id is null or p_kind is null or p_issuer is null or p_subject is null then
        raise exception 'p_user_id, p_kind, p_issuer and p_subject must not be null' using errcode = '22004';
    end if;
    if p_kind <> 'cognito' then
        raise exception 'p_kind must be cognito' using errcode = '22023';
    end if;
    if not exists (select from auth.users where id = p_user_id) then
        raise exception 'no account has the id in p_user_id' using errcode = 'PT404';
    end if;
    insert into private.external_identities (user_id, kind, issuer, subject)
    values (p_user_id, p_kind, p_issuer, p_subject)
    on conflict (issuer, subject) do nothing;
    select id into v_id from private.external_identities
    where issuer = p_issuer and subject = p_subject and user_id = p_user_id;
    if not found then
        raise exception 'this identity is linked to another account' using errcode = 'PT409',
            hint = 'Find that account with svc_find_external_identity.';
    end if;
    return v_id;
end
$$;

comment on function public.svc_link_external_identity(uuid, text, text, text) is
    'Links an outside identity to an account and returns the link''s id. Safe to repeat. PT404 when the account does '
    'not exist, PT409 when the identity is linked to another account.';

create function public.svc_find_external_identity(p_kind text, p_issuer text, p_subject text)
returns uuid
language sql
stable
security definer
set search_path = ''
as $$
    select user_id from private.external_identities
    where kind = p_kind and issuer = p_issuer and subject = p_subject;
$$;

comment on function public.svc_find_external_identity(text, text, text) is
    'The account behind an outside identity, or null.';
