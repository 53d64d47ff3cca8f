-- Outbox of files to delete: SQL can delete a row, not the file it names. private.enqueue_storage_deletion fills it in
-- the transaction that deletes the row. The job storage_cleanup empties it with the two functions below.

create table private.storage_deletions (
    id bigint primary key generated always as identity,
    storage_key text not null,
    reason text not null,
    attempts int not null default 0,
    last_error text,
    enqueued_at timestamptz not null default now(),
    next_attempt_at timestamptz not null default now(),
    done_at timestamptz,

    constraint storage_deletions_storage_key_check check (char_length(storage_key) between 1 and 500),
    constraint storage_deletions_reason_check check (char_length(reason) <= 200),
    constraint storage_deletions_attempts_check check (attempts >= 0),
    constraint storage_deletions_last_error_check check (char_length(last_error) <= 500)
);

-- a file waits once, however many rows named it
create unique index uq_storage_deletions_storage_key on private.storage_deletions (storage_key) where done_at is null;
create index idx_storage_deletions_enqueued_at on private.storage_deletions (enqueued_at) where done_at is null;
-- for retention
create index idx_storage_deletions_done_at on private.storage_deletions (done_at) where done_at is not null;

comment on table private.storage_deletions is 'Files without a row, which wait to be deleted.';
comment on column private.storage_deletions.id is 'Identity of the row.';
comment on column private.storage_deletions.storage_key is 'bucket/object of the file.';
comment on column private.storage_deletions.reason is 'The table and statement that removed its row.';
comment on column private.storage_deletions.attempts is 'How often it was handed out for deletion.';
comment on column private.storage_deletions.last_error is 'The error of the last attempt.';
comment on column private.storage_deletions.enqueued_at is 'When the file lost its row.';
comment on column private.storage_deletions.next_attempt_at is 'Not handed out before; later with every attempt.';
comment on column private.storage_deletions.done_at is 'When the file was deleted.';

create function public.svc_claim_storage_deletions(p_limit int)
returns table (id bigint, storage_key text, reason text, attempts int)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
    if p_limit is null then
        raise exception 'p_limit must not be null' using errcode = '22004';
    end if;
    if p_limit < 1 then
        raise exception 'p_limit must be at least 1' using errcode = '22003';
    end if;
    return query
    with due as (
        select
            d.id,
            -- the row came back, such as a lecture that is tried again: its file stays, or is written anew
            coalesce(private.has_row(
                split_part(d.storage_key, '/', 1), substring(d.storage_key from position('/' in d.storage_key) + 1)
            ), false) as is_used
        from private.storage_deletions as d
        where d.done_at is null and d.next_attempt_at <= private.clock()
        order by d.enqueued_at
        limit least(p_limit, 500)
        for update skip locked
    ),
    claimed as (
        update private.storage_deletions as d set
            attempts = d.attempts + 1,
            -- this time is lease and back-off at once: no other worker gets the file before, and any may afterwards
            next_attempt_at = private.clock() + make_interval(secs => least(3600, 30 * 2 ^ least(d.attempts, 10))),
            done_at = case when due.is_used then private.clock() end
        from due
        where d.id = due.id
        returning d.id, d.storage_key, d.reason, d.attempts, due.is_used
    )
    select c.id, c.storage_key, c.reason, c.attempts from claimed as c where not c.is_used;
end
$$;

comment on function public.svc_claim_storage_deletions(int) is
    'Files to delete now, oldest first, at most 500. Each is handed out again after 30 s, doubling up to an hour, '
    'until it is finished. A file for which a row answers again is not deleted.';

create function public.svc_finish_storage_deletion(p_id bigint, p_error text default null)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if p_id is null then
        raise exception 'p_id must not be null' using errcode = '22004';
    end if;
    update private.storage_deletions set
        done_at = case when p_error is null then private.clock() end,
        last_error = left(p_error, 500)
    where id = p_id and done_at is null;
end
$$;

comment on function public.svc_finish_storage_deletion(bigint, text) is
    'Ends an attempt: without p_error the file is deleted, with one it is tried again later. A second call changes '
    'nothing.';
