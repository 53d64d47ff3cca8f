-- Which account belongs to a platform's person. The id is reserved before the account is made, so that two first
-- launches at once make one account. So there is no foreign key; a trigger on auth.users does the cascade. A
-- reservation without an account lasts a day.

create table private.lti_identities (
    id uuid primary key default gen_random_uuid(),
    platform_id uuid not null,
    sub text not null,
    user_id uuid not null,
    created_at timestamptz not null default now(),
    constraint lti_identities_platform_id_sub_key unique (platform_id, sub),
    constraint lti_identities_platform_id_fkey
        foreign key (platform_id)
        references private.lti_platforms(id) on delete cascade,
    constraint lti_identities_sub_check check (char_length(sub) between 1 and 255)
);

create index idx_lti_identities_user_id on private.lti_identities (user_id);

comment on table private.lti_identities is 'A platform''s person and the account they have here.';
comment on column private.lti_identities.id is 'Key.';
comment on column private.lti_identities.platform_id is 'Which platform.';
comment on column private.lti_identities.sub is 'The person''s id at the platform.';
comment on column private.lti_identities.user_id is
    'The account, or the id reserved for it; no foreign key on purpose.';
comment on column private.lti_identities.created_at is 'When the person first launched.';

create function private.delete_lti_identities()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    delete from private.lti_identities where user_id = old.id;
    return null;
end
$$;

comment on function private.delete_lti_identities() is
    'AFTER DELETE on auth.users: deletes the account''s identities, as a cascade would.';

create trigger trg_users_lti_identities after delete on auth.users
for each row execute function private.delete_lti_identities();
