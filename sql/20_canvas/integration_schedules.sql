-- When each connected integration is synced by itself. A row follows its integration's status by a trigger, so no path
-- that connects, expires or disconnects can forget it. start_due_syncs.sql starts what is due.

create table private.integration_schedules (
    integration_id uuid primary key,
    next_sync_at timestamptz,
    asked_at timestamptz,
    announcements_since timestamptz not null default now(),
    constraint integration_schedules_integration_id_fkey
        foreign key (integration_id)
        references public.integrations(id) on delete cascade
);

create index idx_integration_schedules_next_sync_at on private.integration_schedules (next_sync_at)
where next_sync_at is not null;

comment on table private.integration_schedules is 'When an integration is synced next without being asked.';
comment on column private.integration_schedules.integration_id is 'Which integration.';
comment on column private.integration_schedules.next_sync_at is
    'When it is due; null while it is not connected. A reader looks at asked_at, too.';
comment on column private.integration_schedules.asked_at is
    'When its owner last connected it or asked for a sync of everything.';
comment on column private.integration_schedules.announcements_since is
    'When it was last connected: what Canvas announced before is not news.';

create function private.follow_integration_status()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if new.provider not in ('canvas', 'canvas_feed') then
        return null;
    end if;
    if new.status <> 'connected' then
        update private.integration_schedules set next_sync_at = null where integration_id = new.id;
        return null;
    end if;
    -- connecting enqueues the first sync, so the one after it keeps the interval (svc_start_due_syncs)
    insert into private.integration_schedules (integration_id, next_sync_at, asked_at, announcements_since)
    values (new.id, private.clock(), private.clock(), private.clock())
    on conflict on constraint integration_schedules_pkey do update
    set next_sync_at = excluded.next_sync_at,
        asked_at = excluded.asked_at,
        announcements_since = excluded.announcements_since;
    -- what asked to connect again has been done
    update public.notifications set status = 'dismissed'
    where user_id = new.user_id and type = 'integration_error' and dismissed_at is null
        and payload ->> 'integration_id' = new.id::text;
    return null;
end
$$;

comment on function private.follow_integration_status() is
    'AFTER INSERT OR UPDATE OF status on integrations: a connected one is synced by schedule, any other is not. '
    'Connecting again dismisses the notification that asked for it.';

create trigger trg_integrations_schedule_new after insert on public.integrations
for each row execute function private.follow_integration_status();
create trigger trg_integrations_schedule_changed after update of status on public.integrations
for each row when (old.status is distinct from new.status) execute function private.follow_integration_status();

create function private.hasten_syncs()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    update private.integration_schedules as s set next_sync_at = private.clock()
    from public.integrations as i
    where i.user_id = new.user_id and s.integration_id = i.id and s.next_sync_at > private.clock();
    return null;
end
$$;

comment on function private.hasten_syncs() is
    'AFTER UPDATE on user_stats: who comes back after a week, in which syncs became rare, is synced at the next look.';

create trigger trg_user_stats_hasten_syncs after update of last_active on public.user_stats
for each row when (new.last_active > old.last_active + interval '7 days') execute function private.hasten_syncs();
