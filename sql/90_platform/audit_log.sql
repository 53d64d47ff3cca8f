-- Who did what to whose record. private.write_audit and the triggers that use it write lines; nobody changes them, and
-- only svc_purge_expired deletes them, after seven years. There are no foreign keys, because lines outlive accounts.
-- The log holds ids and states, never what a student wrote nor a secret.

create table private.audit_log (
    id bigint primary key generated always as identity,
    occurred_at timestamptz not null default now(),
    actor_id uuid,
    actor_role text,
    action text not null,
    entity text not null,
    entity_id text,
    subject_user_id uuid,
    detail jsonb not null default '{}',

    constraint audit_log_actor_role_check check (char_length(actor_role) <= 100),
    constraint audit_log_action_check check (char_length(action) between 1 and 100),
    constraint audit_log_entity_check check (char_length(entity) between 1 and 100),
    constraint audit_log_entity_id_check check (char_length(entity_id) <= 200),
    constraint audit_log_detail_check check (jsonb_typeof(detail) = 'object')
);

-- for everything about a person, in order
create index idx_audit_log_subject on private.audit_log (subject_user_id, occurred_at);
create index idx_audit_log_entity on private.audit_log (entity, entity_id);
-- for the newest lines, and for retention
create index idx_audit_log_occurred_at on private.audit_log (occurred_at);

comment on table private.audit_log is 'The audit log.';
comment on column private.audit_log.id is 'Identity of the row.';
comment on column private.audit_log.occurred_at is 'When it happened.';
comment on column private.audit_log.actor_id is 'Who did it; null for the service.';
comment on column private.audit_log.actor_role is 'The database role of the request, or of the session without one.';
comment on column private.audit_log.action is 'What was done: insert, update, delete, read, or the name of an act.';
comment on column private.audit_log.entity is 'The table it was done to.';
comment on column private.audit_log.entity_id is 'The row it was done to.';
comment on column private.audit_log.subject_user_id is 'The person the row is about.';
comment on column private.audit_log.detail is 'The recorded columns before and after.';

create function private.keep_audit_log()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if tg_op = 'DELETE' and current_setting('app.purging_audit_log', true) = 'yes' then
        return old;
    end if;
    raise exception 'the audit log cannot be changed' using errcode = '42501';
end
$$;

comment on function private.keep_audit_log() is
    'BEFORE UPDATE, DELETE or TRUNCATE on audit_log: refuses it (42501), except the purge of svc_purge_expired, which '
    'announces itself by a setting of its transaction.';

create trigger trg_audit_log_keep before update or delete on private.audit_log
for each row execute function private.keep_audit_log();
create trigger trg_audit_log_keep_all before truncate on private.audit_log
for each statement execute function private.keep_audit_log();

create function private.admin_list_audit(p_subject_user_id uuid, p_limit int)
returns table (
    id bigint,
    occurred_at timestamptz,
    actor_id uuid,
    actor_role text,
    action text,
    entity text,
    entity_id text,
    subject_user_id uuid,
    detail jsonb
)
language plpgsql
stable
security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
    perform private.require_admin();
    if p_limit is null then
        raise exception 'p_limit must not be null' using errcode = '22004';
    end if;
    if p_limit not between 1 and 1000 then
        raise exception 'p_limit must be between 1 and 1000' using errcode = '22003';
    end if;
    return query
    select
        l.id, l.occurred_at, l.actor_id, l.actor_role, l.action, l.entity, l.entity_id, l.subject_user_id, l.detail
    from private.audit_log as l
    where p_subject_user_id is null or l.subject_user_id = p_subject_user_id
    order by l.occurred_at desc, l.id desc
    limit p_limit;
end
$$;

comment on function private.admin_list_audit(uuid, int) is 'Behind public.admin_list_audit().';

create function public.admin_list_audit(p_subject_user_id uuid default null, p_limit int default 100)
returns table (
    id bigint,
    occurred_at timestamptz,
    actor_id uuid,
    actor_role text,
    action text,
    entity text,
    entity_id text,
    subject_user_id uuid,
    detail jsonb
)
language sql
stable
set search_path = ''
begin atomic
    select * from private.admin_list_audit(p_subject_user_id, p_limit);
end;

comment on function public.admin_list_audit(uuid, int) is
    'The newest lines of the audit log, about one person or all; 1 to 1000 of them. Staff only, 42501 otherwise.';
