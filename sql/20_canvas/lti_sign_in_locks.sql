-- One sign-in of a person at a time. Auth keeps a single one-time token for each person, so a second hand-off at the
-- same moment would void the first one's.

create table private.lti_sign_in_locks (
    user_id uuid primary key,
    holder uuid not null,
    expires_at timestamptz not null
);

create index idx_lti_sign_in_locks_expires_at on private.lti_sign_in_locks (expires_at);

comment on table private.lti_sign_in_locks is 'A person who is being signed in from Canvas at this moment.';
comment on column private.lti_sign_in_locks.user_id is 'The account, or the id reserved for it.';
comment on column private.lti_sign_in_locks.holder is 'The request that holds the lock.';
comment on column private.lti_sign_in_locks.expires_at is 'When another request may take it: the holder has died.';

create function public.svc_lock_lti_user(p_user_id uuid, p_holder uuid, p_seconds int)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_now constant timestamptz := private.clock();
begin
    if p_user_id is null or p_holder is null then
        raise exception 'p_user_id and p_holder must not be null' using errcode = '22004';
    end if;
    if p_seconds is null or p_seconds not between 1 and 300 then
        raise exception 'p_seconds must be between 1 and 300' using errcode = '22023';
    end if;
    insert into private.lti_sign_in_locks as l (user_id, holder, expires_at)
    values (p_user_id, p_holder, v_now + make_interval(secs => p_seconds))
    on conflict (user_id) do update set holder = excluded.holder, expires_at = excluded.expires_at
    where l.holder = p_holder or l.expires_at <= v_now;
    return found;
end
$$;

comment on function public.svc_lock_lti_user(uuid, uuid, int) is
    'Takes a person''s lock for so many seconds; false when another request holds it.';

create function public.svc_unlock_lti_user(p_user_id uuid, p_holder uuid)
returns void
language sql
volatile
security definer
set search_path = ''
as $$
    delete from private.lti_sign_in_locks where user_id = p_user_id and holder = p_holder;
$$;

comment on function public.svc_unlock_lti_user(uuid, uuid) is 'Gives a person''s lock back, when it is still held.';
